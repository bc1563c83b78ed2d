"""``mostnet-eval``: the command line of ``mostnet.training.evaluation.run.evaluate_file``."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console

from mostnet.contract.arguments import positive_int
from mostnet.contract.shipped import checkpoint_path
from mostnet.contract.terminal import PLAIN, command
from mostnet.training.data.dataset import SPLITS
from mostnet.video.progress import RunProgress
from mostnet.video.threads import limit_opencv_threads

from .figures import CONVENTIONS
from .open_model import DEVICES
from .run import EvalOptions, evaluate_file
from .tables import print_report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
    add("--max-sequences", type=positive_int, metavar="N", help="the first N sequences (default: all)")
    add("--frames", type=positive_int, metavar="N", help="the first N frames of each sequence (default: all)")
    add(
        "--convention",
        default="ours",
        choices=tuple(CONVENTIONS),
        help="way to count; source counts as Table I of the method's source (default: %(default)s)",
    )
    add("--device", default="auto", choices=DEVICES, help="device of the network (default: %(default)s)")
    add("--threads", type=positive_int, metavar="N", help="CPU threads of the network (default: the library's choice)")
    return parser


@command("mostnet-eval")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    options = EvalOptions(
        split=args.split,
        max_sequences=args.max_sequences,
        frames=args.frames,
        device=args.device,
        threads=args.threads,
        convention=args.convention,
    )
    limit_opencv_threads()
    line = shlex.join(["mostnet-eval", *argv])
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)  # fails here rather than after the measurement
    with RunProgress(Console(file=sys.stderr, **PLAIN)) as progress:
        report = evaluate_file(
            checkpoint_path(args.model), args.data, options, out=args.out, command=line, progress=progress
        )
    # Wide enough that neither a narrow terminal nor a pipe cuts the figures off.
    console = Console(file=sys.stdout, width=max(110, Console().width), **PLAIN)
    print_report(report, console)
    for path in () if args.out is None else sorted(args.out.glob("[!.]*")):
        console.print(f"{path}  {path.stat().st_size / 1e3:.0f} kB", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
