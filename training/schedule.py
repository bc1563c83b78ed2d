"""Learning rate and averaged weights over a run."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from .networks import Network
from .options import TrainOptions


def progress(options: TrainOptions, *, step: int, minutes: float) -> float:
    """Share of the run that is done, 0 to 1: of its steps or of its minutes, whichever is larger."""
    spent = minutes / options.max_minutes if options.max_minutes else 0.0
    return min(1.0, max(step / options.steps, spent))


def learning_rate(options: TrainOptions, *, step: int, minutes: float) -> float:
    """Linear warm-up over steps, times half a cosine over ``progress`` from ``lr`` down to ``final_lr * lr``."""
    done = progress(options, step=step, minutes=minutes)
    cosine = options.final_lr + (1 - options.final_lr) * 0.5 * (1 + math.cos(math.pi * done))
    return options.lr * cosine * min(1.0, (step + 1) / (options.warmup + 1))


class AveragedWeights:
    """Exponential moving average of a network's weights, with a lower decay in the first steps."""

    def __init__(self, model: Network, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Add the weights after step number ``step`` to the average."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for mean, value in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for kept, newest in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(newest)  # statistics of a batch normalisation, which are means already

    @torch.no_grad()
    def restore_buffers(self, model: nn.Module) -> None:
        """Give the network the statistics of the last sound step, after one that was not sound."""
        for kept, newest in zip(self.model.buffers(), model.buffers(), strict=True):
            newest.copy_(kept)
