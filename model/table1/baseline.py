"""What all networks of Table I have in common: they are run frame by frame, as ``MostNet`` is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mostnet.contract import FrameError, StatePair, check_size
from mostnet.model.layers import Float32Island
from mostnet.model.network import State

#: Name and shape of one state tensor, without the batch.
NamedShape = tuple[str, tuple[int, int, int]]


class BaselinePrediction(NamedTuple):
    """The predictions for one frame.

    Attributes:
        enhanced: ``(N, 3, H, W)`` BGR 0..1, not clamped. The frame itself if the network does not enhance.
        mask_logit: ``(N, 1, H, W)``. Zero if the network finds no teeth.
        flow: ``(N, 2, H, W)`` float32, backward, in pixels. Zero if the network finds no flow.
        steps: what the network's own loss needs, coarse to fine or first to last, each at its own size. The sizes are
            those of the padded frame.
    """

    enhanced: Tensor
    mask_logit: Tensor
    flow: Tensor
    steps: tuple[Tensor, ...]


class Computed(NamedTuple):
    """What a network computes from a padded frame. The outputs of other tasks are None."""

    enhanced: Tensor | None = None
    mask_logit: Tensor | None = None
    flow: Tensor | None = None
    steps: tuple[Tensor, ...] = ()


class FlowCrop(Float32Island):
    """A flow field without the padding on its right and at its bottom."""

    def forward(self, flow: Tensor, size_hw: tuple[int, int]) -> Tensor:
        return flow[..., : size_hw[0], : size_hw[1]]


class Baseline(nn.Module, ABC):
    """One network of Table I.

    Attributes:
        name: its name in ``NETWORKS``.
        tasks: what it does, of ``enhance``, ``flow`` and ``mask``.
        stride: frames are padded on the right and at the bottom to multiples of this.
        least_side: smallest side of a padded frame, in pixels.
    """

    name: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    stride: ClassVar[int]
    least_side: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.crop_flow = FlowCrop()

    @abstractmethod
    def shapes(self, padded_hw: tuple[int, int]) -> Sequence[NamedShape]:
        """Names and shapes of the state tensors for padded frames of this size."""

    @abstractmethod
    def compute(self, frame: Tensor, state: State) -> tuple[Computed, State]:
        """Run one padded frame ``(N, 3, H, W)``; returns the outputs of the network's tasks, and the new state."""

    def state_pairs(self, size_hw: tuple[int, int], *, dtype: str = "float32") -> tuple[StatePair, ...]:
        """Names and shapes (batch 1) of the state for frames of ``size_hw``.

        Raises:
            FrameError: the frame is too small for the network.
        """
        height, width = check_size(size_hw)
        padded_hw = (height + -height % self.stride, width + -width % self.stride)
        if min(padded_hw) < self.least_side:
            least = self.least_side - self.stride + 1
            raise FrameError(
                f"frame size is {height}x{width}; for {self.name}, each side must be at least {least} pixels"
            )
        return tuple(StatePair(name, (1, *shape), dtype) for name, shape in self.shapes(padded_hw))

    def zero_state(self, frame: Tensor) -> State:
        """The state without a previous frame, for frames like ``frame`` ``(N, 3, H, W)``."""
        pairs = self.state_pairs((frame.shape[-2], frame.shape[-1]))
        return tuple(frame.new_zeros((frame.shape[0], *pair.shape[1:])) for pair in pairs)

    def step(self, frame: Tensor, state: State | None = None) -> tuple[BaselinePrediction, State]:
        """Run one frame of a stream.

        Args:
            frame: BGR ``(N, 3, H, W)``, 0..1, any H and W from 64 on, of the network's dtype and on its device.
            state: returned by the previous step; None for the first frame.

        Returns:
            The predictions and the state for the next frame.

        Raises:
            FrameError: the frame is too small.
            ValueError: the state is of another network, batch or frame size.
        """
        state = self.zero_state(frame) if state is None else self._checked(frame, state)
        found, new_state = self.compute(self.padded(frame), state)
        return self._finish(found, frame), new_state

    def padded(self, frame: Tensor) -> Tensor:
        """The frame with its last column and row repeated up to multiples of ``stride``."""
        height, width = frame.shape[-2:]
        missing = (0, -width % self.stride, 0, -height % self.stride)
        return F.pad(frame, missing, mode="replicate") if any(missing) else frame

    def _checked(self, frame: Tensor, state: State) -> State:
        pairs = self.state_pairs((frame.shape[-2], frame.shape[-1]))
        if len(state) != len(pairs):
            raise ValueError(f"the state has {len(state)} tensors, {self.name} carries {len(pairs)}")
        for tensor, pair in zip(state, pairs, strict=True):
            wanted = (frame.shape[0], *pair.shape[1:])
            if tuple(tensor.shape) != wanted:
                raise ValueError(f"state {pair.name} is {tuple(tensor.shape)}, frames like this one need {wanted}")
        return state

    def _finish(self, found: Computed, frame: Tensor) -> BaselinePrediction:
        """The outputs at the frame's size, and those that no method gives for the other tasks."""
        n, _, height, width = frame.shape
        enhanced = frame if found.enhanced is None else found.enhanced[..., :height, :width]
        logit = frame.new_zeros((n, 1, height, width)) if found.mask_logit is None else found.mask_logit
        if found.flow is None:
            flow = torch.zeros((n, 2, height, width), device=frame.device)
        else:
            flow = self.crop_flow(found.flow, (height, width))
        return BaselinePrediction(enhanced, logit[..., :height, :width], flow, found.steps)
