"""``mostnet-label``: writes the flow labels that a data set lacks."""

from __future__ import annotations

import argparse
import sys
from itertools import count
from pathlib import Path

from rich.console import Console

from mostnet.contract.arguments import positive_int
from mostnet.contract.cores import limit_spinning
from mostnet.contract.terminal import PLAIN, CommandParser, command
from mostnet.training.data.dataset import SPLITS
from mostnet.video.progress import RunProgress
from mostnet.video.threads import limit_opencv_threads

from .label import SOURCES, frames_to_label, label_split, splits_of
from .methods import LabelMethod, dis_method, raft_method


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mostnet-label",
        description="Write the backward flow of every frame that has none, marked unknown where the forward flow does "
        "not confirm it. Files that are there stay as they are.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong arguments. The same command continues an interrupted run.",
    )
    add = parser.add_argument
    add("root", type=Path, metavar="ROOT", help="root of the data set, ours or Vident-real")
    add("--method", choices=("raft", "dis"), default="raft", help="(default: %(default)s)")
    add(
        "--weights", type=Path, metavar="FILE", help="weights of RAFT: torchvision's raft_large .pth, or our checkpoint"
    )
    add("--split", choices=SPLITS, action="append", help="only this split; may be repeated (default: all)")
    add("--pictures", choices=SOURCES, default="auto", help="auto: the reference where there is one (default: auto)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="device of RAFT (default: %(default)s)")
    add("--threads", type=positive_int, metavar="N", help="CPU threads of RAFT (default: as many as cores are free)")
    return parser


@command("mostnet-label", extra="train", interrupted="interrupted; every file is whole, and the same command continues")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.method == "raft" and args.weights is None:
        parser.error("RAFT needs --weights FILE; --method dis needs none")
    if args.method == "dis" and args.weights is not None:
        parser.error("--weights is for --method raft")
    limit_opencv_threads()
    limit_spinning()
    splits = splits_of(args.root) if args.split is None else tuple(dict.fromkeys(args.split))
    total = frames_to_label(args.root, splits)
    method = _method(args) if total else dis_method()
    done = count(1)
    lines = []
    with RunProgress(Console(file=sys.stderr, **PLAIN)) as progress:
        for split in splits:
            tick = lambda: progress(next(done), total)  # noqa: E731
            lines.append(label_split(args.root, split, method, pictures=args.pictures, progress=tick))
    for line in lines:
        print(line)
    return 0


def _method(args: argparse.Namespace) -> LabelMethod:
    if args.method == "dis":
        return dis_method()
    return raft_method(args.weights, device=args.device, threads=args.threads)


if __name__ == "__main__":
    sys.exit(main())
