"""Size and cost of a network."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from .config import ModelConfig
from .network import MostNet


class Stepping(Protocol):
    """A network that is run frame by frame."""

    def step(self, frame: Tensor) -> Any:
        """Run the first frame of a stream, ``(N, 3, H, W)``."""


def parameter_count(config: ModelConfig) -> int:
    """Number of trainable values."""
    with torch.device("meta"):
        return sum(p.numel() for p in MostNet(config).parameters())


def step_flops(config: ModelConfig, size_hw: tuple[int, int]) -> int:
    """Floating-point operations of one ``step``: two per multiply-add of convolutions and matrix products."""
    with torch.device("meta"):
        return module_flops(MostNet(config), size_hw)


def module_flops(network: Stepping, size_hw: tuple[int, int]) -> int:
    """The same of a network whose weights are on the meta device."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        network.step(torch.empty(1, 3, *size_hw))
    return int(counter.get_total_flops())


def state_bytes(config: ModelConfig, size_hw: tuple[int, int], *, dtype: str) -> int:
    """Bytes of the state between two frames."""
    with torch.device("meta"):
        return sum(pair.output.nbytes for pair in MostNet(config).state_pairs(size_hw, dtype=dtype))
