"""Optical flow: features for matching, and modules that estimate flow from coarse to fine."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Float32Island, LocalCorrelation, ResidualBlock, Warp, conv, conv_relu

#: Added to the squared length of a match vector, so that a black frame causes no division by zero.
_EPSILON = 1e-6
#: Largest log of a softmax's sharpness: exp(-2 * exp(3.7)) is still a normal float32.
_LOG_SHARPEST = 3.7


class UnitLength(Float32Island):
    """Scale each cell's vector to length one, in float32 because half-precision squares overflow from 256 on."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt((wide * wide).sum(1, keepdim=True) + _EPSILON)).to(x.dtype)


class MatchHead(nn.Module):
    """Features of unit length for the comparison of frames. They depend only on their own frame."""

    def __init__(self, channels: int, match_channels: int) -> None:
        super().__init__()
        self.conv = conv(channels, match_channels)
        self.normalise = UnitLength()

    def forward(self, x: Tensor) -> Tensor:
        unit: Tensor = self.normalise(self.conv(x))
        return unit


class SoftMatch(Float32Island):
    """Expected displacement under the softmax of the cost volume.

    Products of unit vectors are at most one, so the softmax needs no search for its maximum.
    """

    def __init__(self, radius: int) -> None:
        super().__init__()
        self.radius = radius
        self.log_sharpness = nn.Parameter(torch.tensor(3.0))

    def sharpness(self) -> Tensor:
        """Factor of the cost in the softmax (inverse temperature), a float32 scalar."""
        return self.log_sharpness.float().clamp(max=_LOG_SHARPEST).exp()

    def forward(self, cost: Tensor) -> Tensor:
        """Cost ``(N, (2r+1)^2, H, W)`` -> displacement ``(N, 2, H, W)`` as ``(dx, dy)`` in cells, float32."""
        n, _, height, width = cost.shape
        side = 2 * self.radius + 1
        steps = torch.arange(-self.radius, self.radius + 1, dtype=torch.float32, device=cost.device).view(1, side, 1, 1)
        weights = torch.exp((cost.float() - 1.0) * self.sharpness()).view(n, side, side, height, width)
        columns, rows = weights.sum(1), weights.sum(2)
        moments = torch.stack(((columns * steps).sum(1), (rows * steps).sum(1)), dim=1)
        return moments / columns.sum(1, keepdim=True)


class FlowUpdate(Float32Island):
    """Add a displacement in cells to a flow in pixels. The result is zero without a previous frame."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, flow: Tensor | None, cells: Tensor, seen: Tensor) -> Tensor:
        step = cells.float() * self.stride
        return (step if flow is None else flow + step) * seen.float()


class FlowResize(Float32Island):
    """Bilinear resize of a flow field. It keeps the values, because flow is in pixels of the frame at every scale."""

    def forward(self, flow: Tensor, size_hw: tuple[int, int], crop_hw: tuple[int, int] | None = None) -> Tensor:
        resized = F.interpolate(flow, size=size_hw, mode="bilinear", align_corners=False)
        return resized if crop_hw is None else resized[..., : crop_hw[0], : crop_hw[1]]


class Matching(NamedTuple):
    """The inputs of a matched flow estimate, for training losses.

    Attributes:
        cost: inner products ``(N, (2r+1)^2, H, W)`` in the order of ``LocalCorrelation``.
        sharpness: factor of ``cost`` in the softmax, a scalar.
        around: flow at the centre of the search, the ``coarse`` of ``FlowEstimator.forward``; None for zero.
    """

    cost: Tensor
    sharpness: Tensor
    around: Tensor | None


class FlowEstimator(nn.Module):
    """First estimate of the flow at one scale: a match around the coarser flow, plus a correction."""

    def __init__(self, *, channels: int, hidden: int, radius: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.warp = Warp()
        self.correlate = LocalCorrelation(radius)
        self.soft_match = SoftMatch(radius)
        matches = (2 * radius + 1) ** 2
        entering = -(-(matches + channels) // 8) * 8  # CPU and tensor-core kernels want a multiple of eight
        self.context = conv(channels, entering - matches, kernel=1)
        self.enter = conv_relu(entering, hidden)
        self.block = ResidualBlock(hidden)
        self.leave = conv(hidden, 2)
        self.match = FlowUpdate(stride)
        self.correct = FlowUpdate(stride)

    def forward(
        self, features: Tensor, match: Tensor, previous: Tensor, coarse: Tensor | None, seen: Tensor
    ) -> tuple[Tensor, Matching]:
        """Flow ``(N, 2, H, W)`` at this scale, float32, in pixels of the frame, and its ``Matching``.

        Args:
            features: current features ``(N, C, H, W)``.
            match: the current frame's match features ``(N, M, H, W)``.
            previous: match features of the previous frame; zeros without one.
            coarse: the coarser scale's flow resized to this one, float32, in pixels of the frame; None at the coarsest.
            seen: ``has_history(previous)``.
        """
        if coarse is not None:
            previous = self.warp(previous, coarse, self.stride)
        cost = self.correlate(match, previous)
        correction = self.leave(self.block(self.enter(torch.cat((cost, self.context(features)), dim=1))))
        flow: Tensor = self.correct(self.match(coarse, self.soft_match(cost), seen), correction, seen)
        return flow, Matching(cost, self.soft_match.sharpness(), coarse)


def has_history(previous_match: Tensor) -> Tensor:
    """``(N, 1, H, W)``: 1 if there is a previous frame, 0 if its match features are zeros."""
    return torch.sign((previous_match * previous_match).max(dim=1, keepdim=True)[0])
