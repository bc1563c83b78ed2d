"""``mostnet-eval``: the command line of ``mostnet.training.evaluate``."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from mostnet.contract.arguments import positive_int
from mostnet.contract.cores import limit_spinning
from mostnet.contract.terminal import PLAIN, CommandParser, command
from mostnet.training.data.dataset import SPLITS
from mostnet.video.progress import RunProgress

from .figures import CONVENTIONS
from .options import DEVICES, EvalOptions


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mostnet-eval",
        description="Measure a checkpoint or an exported model on a dataset split, streaming with carried state.",
        epilog="Exit status: 0 measured, 1 failed, 2 wrong arguments.",
    )
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        help="checkpoint (.pt, in PyTorch), name of a shipped one such as nano, or exported model (.onnx, .plan)",
    )
    add("data", type=Path, metavar="DATA", help="root of the dataset, which holds the splits")
    add("--split", default="test", choices=SPLITS, help="(default: %(default)s)")
    add("--out", type=Path, metavar="DIR", help="folder for JSON, CSV and contact sheet (default: only print)")
    add("--video", action="store_true", help="also write DIR/video/SEQUENCE.mp4: every frame, its labels and figures")
    add("--max-sequences", type=positive_int, metavar="N", help="the first N sequences (default: all)")
    add("--frames", type=positive_int, metavar="N", help="the first N frames of each sequence (default: all)")
    add(
        "--convention",
        default="ours",
        choices=tuple(CONVENTIONS),
        help="way to count; source counts as Table I of the method's source (default: %(default)s)",
    )
    add("--device", default="auto", choices=DEVICES, help="device of the network (default: %(default)s)")
    threads = "CPU threads of the network (default: as many as cores are free)"
    add("--threads", type=positive_int, metavar="N", help=threads)
    return parser


@command("mostnet-eval", extra="train")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    limit_spinning()
    options = EvalOptions(
        split=args.split,
        max_sequences=args.max_sequences,
        frames=args.frames,
        device=args.device,
        threads=args.threads,
        convention=args.convention,
        video=args.video,
    )
    from .run import evaluate  # needs torch, which --help does without
    from .tables import print_report

    line = shlex.join(["mostnet-eval", *argv])
    # Wide enough that neither a narrow terminal nor a pipe cuts the figures off, also beside the name of a file.
    console = Console(file=sys.stdout, width=max(240, Console().width), **PLAIN)
    progress = RunProgress(Console(file=sys.stderr, **PLAIN))
    with ExitStack() as stack:

        def begin(lines: Sequence[str]) -> None:
            for found in lines:
                console.print(found, soft_wrap=True)
            stack.enter_context(progress)  # after the lines: they would break its bar

        result = evaluate(
            args.model, args.data, out=args.out, options=options, command=line, begin=begin, progress=progress
        )
    print_report(result.report, console)
    for path in sorted(result.files):
        console.print(f"{path}  {path.stat().st_size / 1e3:.0f} kB", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
