"""``python -m mostnet.bench.table1.report OUT``: trains, evaluates and times every row, and writes the table.

An interrupted run is continued by the same command.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mostnet.contract import write_text
from mostnet.contract.arguments import positive_int, size_hw
from mostnet.contract.terminal import CommandParser, command
from mostnet.video.threads import limit_opencv_threads

from .budget import Budget
from .rows import COMBINATION, PARTS, ROWS

COLUMNS = ("quality", "speed")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m mostnet.bench.table1.report", description=__doc__)
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="folder for runs, evaluations, graphs and the table")
    add("--data", type=Path, metavar="ROOT", help="data set, ours or Vident-real (default: scenes drawn into OUT/data)")
    add(
        "--minutes",
        type=float,
        default=Budget.minutes,
        metavar="M",
        help="training of each network (default: %(default)s)",
    )
    add("--crop", type=size_hw("128x160"), default=Budget.crop_hw, metavar="HxW", help="(default: 128x160)")
    add("--sequences", type=positive_int, default=4, metavar="N", help="test sequences (default: %(default)s)")
    add("--frames", type=positive_int, default=8, metavar="N", help="frames of each of them (default: %(default)s)")
    add(
        "--size",
        type=size_hw("480x640"),
        default=(480, 640),
        metavar="HxW",
        help="frames that are timed (default: 480x640)",
    )
    add(
        "--rounds", type=positive_int, default=5, metavar="N", help="timed frames of each method (default: %(default)s)"
    )
    add("--threads", type=positive_int, default=Budget.threads, metavar="N", help="CPU threads (default: %(default)s)")
    add("--rows", nargs="+", choices=ROWS, default=ROWS, metavar="ROW", help=f"of {', '.join(ROWS)} (default: all)")
    add("--parts", nargs="+", choices=COLUMNS, default=COLUMNS, help="speed alone needs no training (default: both)")
    return parser


@command("mostnet.bench.table1.report", extra="export", interrupted="interrupted; the same command continues")
def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = _parser()
    args = parser.parse_args(argv)
    args.rows = [row for row in ROWS if row in args.rows]
    if "quality" in args.parts and COMBINATION in args.rows and not set(PARTS) <= set(args.rows):
        parser.error(f"the {COMBINATION} is made of trained rows: add {', '.join(PARTS)} to --rows")
    from .measurement import measure_table  # needs torch, which --help does without
    from .plot import write_plot

    limit_opencv_threads()
    report = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    args.out.mkdir(parents=True, exist_ok=True)
    table = measure_table(args, shlex.join(["python", "-m", "mostnet.bench.table1.report", *argv]), report)
    write_text(args.out / "table1.json", table.to_json())
    write_text(args.out / "table1.csv", table.to_csv())
    write_text(args.out / "table1.md", table.to_markdown())
    print(table.to_markdown())
    if "quality" in args.parts and "speed" in args.parts:
        write_plot(table, args.out / "table1.png")
    for path in sorted(args.out.glob("table1.*")):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
