"""Size and cost of a network."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from .config import ModelConfig
from .network import MostNet


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
    """Bytes of the state between two frames."""
    with torch.device("meta"):
        return sum(pair.output.nbytes for pair in MostNet(config).state_pairs(size_hw, dtype=dtype))
