"""``python -m mostnet.model``: print the table of variants.

``init VARIANT OUT.pt`` writes an untrained checkpoint. ``half CKPT.pt OUT.pt`` writes a checkpoint again, with its
weights in half precision.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mostnet.contract.shipped import checkpoint_path
from mostnet.contract.terminal import PLAIN, CommandParser, command

from .config import VARIANTS

_SIZES = ((480, 640), (1080, 1920))


def variant_table() -> Table:
    """Parameters, cost and state of every variant."""
    from .cost import parameter_count, state_bytes, step_flops  # needs torch, which --help does without

    table = Table("variant", title="MOST-NET+ variants (GFLOP = 2 x multiply-adds of one frame; state in FP16)")
    table.add_column("parameters", justify="right")
    for height, width in _SIZES:
        table.add_column(f"GFLOP {height}x{width}", justify="right")
        table.add_column(f"state bytes {height}x{width}", justify="right")
    for name, config in VARIANTS.items():
        row = [name, f"{parameter_count(config) / 1e6:.2f} M"]
        for size in _SIZES:
            row += [f"{step_flops(config, size) / 1e9:.1f}", f"{state_bytes(config, size, dtype='float16'):,}"]
        table.add_row(*row)
    return table


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m mostnet.model", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    init = commands.add_parser(
        "init", help="write an untrained checkpoint", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    init.add_argument("variant", choices=VARIANTS)
    init.add_argument("output", type=Path, metavar="OUT.pt")
    init.add_argument("--seed", type=_seed, default=0, metavar="N")
    init.add_argument("--random-head", action="store_true", help="a random enhancement head instead of the identity")
    half = commands.add_parser("half", help="write a checkpoint again, with its weights in half precision")
    half.add_argument("checkpoint", metavar="CKPT.pt", help="a file, or the name of a shipped one, such as nano")
    half.add_argument("output", type=Path, metavar="OUT.pt")
    return parser


@command("mostnet.model", extra="export")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    if args.command is None:
        Console(file=sys.stdout, width=120, **PLAIN).print(variant_table())
        return 0
    from .checkpoint import load_checkpoint, save_checkpoint
    from .initialise import initial_checkpoint

    if args.command == "half":
        save_checkpoint(load_checkpoint(checkpoint_path(args.checkpoint)), args.output, half=True)
        print(f"{args.output}: {args.checkpoint} with its weights in half precision")
        return 0
    save_checkpoint(initial_checkpoint(args.variant, seed=args.seed, random_head=args.random_head), args.output)
    head = "random" if args.random_head else "identity"
    print(f"{args.output}: {args.variant}, seed {args.seed}, {head} enhancement head, untrained")
    return 0


if __name__ == "__main__":
    sys.exit(main())
