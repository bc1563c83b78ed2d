"""``python -m mostnet.model``: print the table of variants; ``init VARIANT OUT.pt``: write an untrained checkpoint."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from mostnet.contract import MostnetError

from .checkpoint import save_checkpoint
from .config import VARIANTS, ModelConfig
from .initialise import initial_checkpoint
from .network import MostNet

_SIZES = ((480, 640), (1080, 1920))


def parameter_count(config: ModelConfig) -> int:
    """Number of trainable values."""
    with torch.device("meta"):
        return sum(p.numel() for p in MostNet(config).parameters())


def step_flops(config: ModelConfig, size_hw: tuple[int, int]) -> int:
    """Floating-point operations of one ``step``: two per multiply-add of convolutions and matrix products."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        MostNet(config).step(torch.empty(1, 3, *size_hw))
    return int(counter.get_total_flops())


def state_bytes(config: ModelConfig, size_hw: tuple[int, int], *, dtype: str) -> int:
    """Bytes handed from one frame to the next."""
    with torch.device("meta"):
        return sum(pair.output.nbytes for pair in MostNet(config).state_pairs(size_hw, dtype=dtype))


def variant_table() -> Table:
    """Parameters, cost and state of every variant."""
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
    parser = argparse.ArgumentParser(prog="python -m mostnet.model", description=__doc__)
    init = parser.add_subparsers(dest="command").add_parser(
        "init", help="write an untrained checkpoint", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    init.add_argument("variant", choices=VARIANTS)
    init.add_argument("output", type=Path, metavar="OUT.pt")
    init.add_argument("--seed", type=_seed, default=0, metavar="N")
    init.add_argument("--random-head", action="store_true", help="a random enhancement head instead of the identity")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    if args.command is None:
        Console(width=120).print(variant_table())
        return 0
    try:
        save_checkpoint(initial_checkpoint(args.variant, seed=args.seed, random_head=args.random_head), args.output)
    except (MostnetError, OSError) as error:
        print(f"mostnet.model: {error}", file=sys.stderr)
        return 1
    head = "random" if args.random_head else "identity"
    print(f"{args.output}: {args.variant}, seed {args.seed}, {head} enhancement head, untrained")
    return 0


if __name__ == "__main__":
    sys.exit(main())
