"""``python -m mostnet.model.table1``: write checkpoints of the networks of Table I.

``init NAME OUT.pt`` writes an untrained one. ``combine ESTRNN.pt RAFT.pt DEEPLAB.pt OUT.pt`` joins three trained ones.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mostnet.contract.terminal import CommandParser, command

from .published import TRAINABLE


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m mostnet.model.table1", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser(
        "init", help="write an untrained checkpoint", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    init.add_argument("name", choices=(*TRAINABLE, "combination"))
    init.add_argument("output", type=Path, metavar="OUT.pt")
    init.add_argument("--seed", type=_seed, default=0, metavar="N", help="decides the weights")
    join = commands.add_parser("combine", help="join three checkpoints into one of the combination")
    for part in ("estrnn", "raft", "deeplab", "out"):
        join.add_argument(part, type=Path, metavar=f"{part.upper()}.pt")
    return parser


@command("mostnet.model.table1", extra="export")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    from .checkpoint import BaselineCheckpoint, combine, save_baseline  # needs torch, which --help does without
    from .networks import build

    if args.command == "combine":
        combine(args.estrnn, args.raft, args.deeplab, args.out)
        print(f"{args.out}: combination of {args.estrnn}, {args.raft} and {args.deeplab}")
        return 0
    save_baseline(BaselineCheckpoint(args.name, build(args.name, seed=args.seed)), args.output)
    print(f"{args.output}: {args.name}, seed {args.seed}, untrained")
    return 0


if __name__ == "__main__":
    sys.exit(main())
