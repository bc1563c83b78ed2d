"""Learning rate and averaged weights over a run."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import torch
from torch import nn

from .networks import Network
from .options import TrainOptions
from .run_state import Position

#: Largest share of the minutes over which the learning rate rises.
LONGEST_WARM_UP = 0.25
#: Steps after the start of a process whose time says nothing of the others.
SETTLING_STEPS = 3


def progress(options: TrainOptions, *, step: int, minutes: float) -> float:
    """Share of the run that is done, 0 to 1: of its steps or of its minutes, whichever is larger."""
    spent = minutes / options.max_minutes if options.max_minutes else 0.0
    return min(1.0, max(step / options.steps, spent))


def warm_up_line(options: TrainOptions, *, step: int) -> str:
    """Says that the steps are too few for the warm-up; empty if they are not, or if it is over at this step."""
    rises = options.warm_up_steps
    if rises == options.warmup or step >= max(rises, 1):
        return ""
    instead = f"the learning rate rises over {rises} of them" if rises else "the run has no warm-up"
    return f"--warmup {options.warmup} does not fit into {options.steps} steps; {instead}"


def longer(options: TrainOptions, *, step: int) -> str:
    """The option that ended a run at this step, with a larger value."""
    by_steps = step >= options.steps
    return f"--steps above {options.steps}" if by_steps else f"--max-minutes above {options.max_minutes:g}"


def warmth(options: TrainOptions, at: Position) -> float:
    """Share of the warm-up that is done at a step, 0 to 1.

    The warm-up takes ``warm_up_steps``, but no more than the share ``LONGEST_WARM_UP`` of the minutes. The minutes of
    the first ``SETTLING_STEPS`` of each process do not count: they compile the network and start the workers.
    """
    if at.is_warm:  # it is over, also for a resumed run that is longer now
        return 1.0
    by_steps = (at.step + 1) / (options.warm_up_steps + 1)
    by_minutes = at.counted_minutes / (LONGEST_WARM_UP * options.max_minutes) if options.max_minutes else 0.0
    return min(1.0, max(by_steps, by_minutes))


def learning_rate(options: TrainOptions, at: Position) -> float:
    """Linear warm-up to ``lr``, then half a cosine from its end to the end of the run, down to ``final_lr * lr``."""
    done = progress(options, step=at.step, minutes=at.minutes)
    rose = progress(options, step=at.warm_step, minutes=at.warm_minutes)
    fallen = max(0.0, (done - rose) / (1 - rose)) if rose < 1 else 0.0
    cosine = options.final_lr + (1 - options.final_lr) * 0.5 * (1 + math.cos(math.pi * fallen))
    return options.lr * cosine * warmth(options, at)


def end_step(options: TrainOptions, at: Position, *, minutes: float, counts: bool) -> str:
    """Note the minutes at the end of a step. The result is a line if they end the warm-up, and else empty.

    Args:
        options: ``steps``, ``max_minutes`` and ``warmup`` of the run.
        at: the position after the step, with the minutes of the step before.
        minutes: minutes spent on the run.
        counts: the step is none of the first ``SETTLING_STEPS`` of this process.
    """
    was_warming = warmth(options, replace(at, step=at.step - 1)) < 1
    if counts:
        at.counted_minutes += minutes - at.minutes
    at.minutes = minutes
    if was_warming:
        at.warm_step, at.warm_minutes = at.step, minutes
    at.is_warm = warmth(options, at) == 1
    if not was_warming or not at.is_warm or at.step >= options.warm_up_steps:
        return ""
    return (
        f"--warmup {options.warmup} takes more than a quarter of {options.max_minutes:g} min; the learning rate rose "
        f"over {at.step} steps"
    )


def steps_of_epochs(options: TrainOptions, *, sequences: int, frames: int, photos: int, photo_clips: int) -> int:
    """Optimiser steps of ``epochs``, at least one.

    An epoch draws as many frames from the training split as it has. With ``overfit`` it draws the clip of each sequence
    once. If every clip is a moving photograph, it draws as many clips as there are photographs.

    Args:
        options: ``epochs``, ``batch``, ``clip``, ``chunks``, ``overfit`` and ``repeats`` of the run.
        sequences: number of sequences that are trained on.
        frames: number of their frames.
        photos: number of photographs.
        photo_clips: moving photographs in every batch.
    """
    drawn = options.batch - photo_clips
    clips = sequences if options.overfit else frames / (options.clip * options.chunks)
    batches = options.epochs * (clips / drawn if drawn else photos / photo_clips)
    return max(1, math.ceil(batches - 1e-6)) * options.chunks * options.repeats


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
