"""``python -m mostnet.bench.table1.report OUT``: trains, evaluates and times every row, and writes the table.

An interrupted run is continued by the same command.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mostnet.contract import write_text
from mostnet.contract.arguments import positive_int, size_hw
from mostnet.contract.terminal import command
from mostnet.model import initial_checkpoint, save_checkpoint
from mostnet.model.table1 import BaselineCheckpoint, build, save_baseline
from mostnet.training.evaluation.run import EvalOptions
from mostnet.training.synth.files import write_split
from mostnet.video.threads import limit_opencv_threads

from .notes import facts, notes
from .plot import write_plot
from .quality import Quality, measure_quality, quality_of
from .rows import COMBINATION, NO_METHOD, PARTS, ROWS, cost, is_ours, network_option
from .speed import measure_speed
from .table import MeasuredTable, TableRow
from .train import Budget, check_data, steps_of, train_row

COLUMNS = ("quality", "speed")
#: Sequences and frames of each split of the data that are drawn if no root is given.
_DRAWN = {"train": (96, 12), "test": (4, 8)}
_DRAWN_HW = (240, 320)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mostnet.bench.table1.report", description=__doc__)
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


@command("mostnet.bench.table1.report", interrupted="interrupted; the same command continues")
def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = _parser()
    args = parser.parse_args(argv)
    args.rows = [row for row in ROWS if row in args.rows]
    if "quality" in args.parts and COMBINATION in args.rows and not set(PARTS) <= set(args.rows):
        parser.error(f"the {COMBINATION} is made of trained rows: add {', '.join(PARTS)} to --rows")
    limit_opencv_threads()
    report = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    args.out.mkdir(parents=True, exist_ok=True)
    table = _measure(args, shlex.join(["python", "-m", "mostnet.bench.table1.report", *argv]), report)
    write_text(args.out / "table1.json", table.to_json())
    write_text(args.out / "table1.csv", table.to_csv())
    write_text(args.out / "table1.md", table.to_markdown())
    print(table.to_markdown())
    if "quality" in args.parts and "speed" in args.parts:
        write_plot(table, args.out / "table1.png")
    for path in sorted(args.out.glob("table1.*")):
        print(path)
    return 0


def _measure(args: argparse.Namespace, line: str, report: Callable[[str], None]) -> MeasuredTable:
    budget = Budget(minutes=args.minutes, threads=args.threads, crop_hw=args.crop)
    qualities: dict[str, Quality] = {}
    steps: dict[str, int | None] = {}
    checkpoints: dict[str, Path] = {}
    data = args.data if args.data is not None else args.out / "data"
    if "quality" in args.parts:
        if args.data is None:
            _draw(data, report)
        check_data(data, args.out)
        options = EvalOptions(split="test", max_sequences=args.sequences, frames=args.frames, threads=args.threads)
        for row in args.rows:
            checkpoints[row] = train_row(row, data, args.out / "runs", budget, report=report)
            steps[row] = steps_of(row, args.out / "runs")
        for row in args.rows:
            document = measure_quality(row, checkpoints[row], data, args.out / "quality", options, report=report)
            qualities[row] = quality_of(document)
            qualities[NO_METHOD] = quality_of(document, "baseline")
    else:
        checkpoints = {row: _untrained(row, args.out / "untrained") for row in args.rows}
    speeds = None
    if "speed" in args.parts:
        graphs = args.out / "graphs"
        speeds = measure_speed(
            checkpoints, graphs, size_hw=args.size, rounds=args.rounds, threads=args.threads, report=report
        )
    times = {} if speeds is None else speeds.rows
    rows = [
        TableRow(row, qualities.get(row), steps.get(row), cost(row, args.size), times.get(row, {})) for row in args.rows
    ]
    if NO_METHOD in qualities:
        rows.insert(0, TableRow(NO_METHOD, qualities[NO_METHOD], None, None, {}))
    return MeasuredTable(tuple(rows), facts(args, line, data, budget, speeds), notes(args, data, budget, rows, speeds))


def _draw(root: Path, report: Callable[[str], None]) -> None:
    for split, (sequences, frames) in _DRAWN.items():
        if (root / split / "dataset.json").is_file():
            continue
        report(f"drawing {root / split}: {sequences} sequences of {frames} frames")
        write_split(root, split, sequences=sequences, frames=frames, size_hw=_DRAWN_HW, workers=2)


def _untrained(row: str, folder: Path) -> Path:
    path = folder / f"{row}.pt"
    folder.mkdir(parents=True, exist_ok=True)
    if is_ours(row):
        save_checkpoint(initial_checkpoint(network_option(row)["variant"], seed=1, random_head=True), path)
    else:
        save_baseline(BaselineCheckpoint(row, build(row, seed=1)), path)
    return path


if __name__ == "__main__":
    sys.exit(main())
