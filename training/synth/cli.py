"""``mostnet-synth``: a data set of synthetic sequences, from the command line."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mostnet.contract import MostnetError
from mostnet.contract.arguments import size_hw
from mostnet.training.data.dataset import SPLITS

from .files import write_split


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for an error, 130 after Ctrl-C."""
    args = _parser().parse_args(argv)
    columns = (TextColumn("sequences"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("sequences", total=args.sequences)
            folder = write_split(
                args.out,
                args.split,
                sequences=args.sequences,
                frames=args.frames,
                size_hw=args.size,
                seed=args.seed,
                workers=args.workers,
                progress=lambda done: bar.update(task, completed=done),
            )
    except (MostnetError, OSError) as error:
        print(f"mostnet-synth: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"mostnet-synth: stopped; remove {args.out / args.split} before the next try", file=sys.stderr)
        return 128 + signal.SIGINT
    print(f"{folder}: {args.sequences} sequences of {args.frames} frames, {args.size[0]}x{args.size[1]}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mostnet-synth",
        description="Write synthetic intra-oral sequences with exact flow, tooth masks and clean references.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="data set to add the split to; OUT/SPLIT must not exist")
    parser.add_argument("--sequences", type=int, required=True, metavar="N", help="number of sequences")
    parser.add_argument("--frames", type=int, default=30, metavar="T", help="frames of each sequence")
    parser.add_argument(
        "--size", type=size_hw("240x320"), default="240x320", metavar="HxW", help="frame size in pixels"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="first seed within the split's own range")
    parser.add_argument("--split", choices=SPLITS, default="train", help="split to write; no two splits share a seed")
    parser.add_argument("--workers", type=int, default=1, metavar="K", help="number of processes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
