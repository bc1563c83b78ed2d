"""Leave parts of the method out, to measure their contribution. The exported graph has no such switches."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from mostnet.model import MostNet, Prediction, State
from mostnet.model.branch import Branch
from mostnet.model.table1 import BaselinePrediction

from .networks import Network


class Unaligned(nn.Module):
    """Replaces a warp: the previous features stay where they were."""

    def forward(self, x: Tensor, flow: Tensor, stride: int) -> Tensor:
        """Return ``x``; the flow is ignored."""
        return x


def remove_alignment(model: MostNet) -> None:
    """Fuse the previous features unwarped, at every scale. The weights and the cascade of the flow do not change."""
    for branch in model.branches:
        cast(Branch, branch).warp = cast(nn.Module, Unaligned())  # type: ignore[assignment]


class Stepper:
    """Steps a network through a clip, with or without its state."""

    def __init__(self, model: Network, *, recurrence: bool = True, compiled: bool = False) -> None:
        self._step: Callable[..., tuple[Prediction | BaselinePrediction, State]]
        self._step = torch.compile(model.step) if compiled else model.step
        self._recurrence = recurrence

    def __call__(self, frame: Tensor, state: State | None) -> tuple[Prediction | BaselinePrediction, State | None]:
        """Like ``MostNet.step``; without recurrence, ``state`` is ignored and the returned state is None."""
        prediction, state = self._step(frame, state if self._recurrence else None)
        return prediction, state if self._recurrence else None
