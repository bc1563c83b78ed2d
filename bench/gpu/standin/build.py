"""Write plans of the stand-in for prepared cases: ``python -m mostnet.bench.gpu.standin.build CASES/NAME``.

A plan holds the case's checkpoint and is for this machine's GPU. It takes no time to build.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mostnet.bench.gpu.miniature.install import LastingGpu, install_miniature
from mostnet.contract.stopping import end_with_parent
from mostnet.contract.terminal import CommandParser, command

from .plan import write_standin_plan, write_toy_plan


def _milliseconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e4:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 to 10000 milliseconds")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m mostnet.bench.gpu.standin.build", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="CASES/NAME")
    parser.add_argument(
        "--compute-ms", type=_milliseconds, metavar="T", help="add a kernel of this duration after the network"
    )
    network = parser.add_mutually_exclusive_group()
    network.add_argument(
        "--toy", action="store_true", help="run the toy network, which does next to no work, at the case's size"
    )
    network.add_argument(
        "--toy-case", action="store_true", help="write a whole case of the toy network, with its frames and reference"
    )
    parser.add_argument("--miniature", action="store_true", help="build for the miniature GPU; needs no real one")
    return parser


@command("mostnet.bench.gpu.standin.build")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    end_with_parent()
    if args.miniature:
        install_miniature(LastingGpu())
    for folder in args.folders:
        if args.toy_case:
            path = write_toy_plan(folder, compute_ms=args.compute_ms or 0.0)
        else:
            path = write_standin_plan(folder, compute_ms=args.compute_ms, toy=args.toy)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
