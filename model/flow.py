"""Optical flow: features for matching, and modules that estimate flow from coarse to fine."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Float32Island, LocalCorrelation, ResidualBlock, Warp, box_mean, conv, conv_relu, exact_conv, mean

#: Added to the squared length of a match vector, so that a black frame causes no division by zero.
_EPSILON = 1e-6
#: Largest log of a softmax's sharpness: exp(-2 * exp(3.7)) is still a normal float32.
_LOG_SHARPEST = 3.7
#: Side of the window that gives untrusted cells their flow, the weight of the frame's mean beside it, and a trust so
#: small that it only prevents a division by zero.
_AROUND, _FRAME_SHARE, _LEAST_TRUST = 9, 0.05, 1e-6
#: Pixels per cell of the fine picture, and a mean square of its slopes below which a frame counts as black.
FINE_STRIDE, _BLACK = 2, 1e-6
#: Side of the filter that chooses a band of frequencies. It begins as the difference of two Gaussians of these widths,
#: in cells of the fine picture. Its gain does not matter to the step. A large one changes slowly in training.
_BAND, _BAND_SIGMAS, _BAND_GAIN = 5, (0.5, 1.25), 32.0
#: Sides of the windows of a gradient step, in cells of the scale, and bounds of the logarithm of their damping.
_WINDOWS, _LOG_DAMPING_RANGE = (7, 3), (-8.0, 4.0)


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
    """Expected displacement under the softmax of the cost volume, and how sure it is.

    Products of unit vectors are at most one, so the softmax needs no search for its maximum.
    """

    #: Channels of the second result.
    found_channels = 5

    def __init__(self, radius: int) -> None:
        super().__init__()
        self.radius = radius
        self.log_sharpness = nn.Parameter(torch.tensor(3.0))

    def sharpness(self) -> Tensor:
        """Factor of the cost in the softmax (inverse temperature), a float32 scalar."""
        return self.log_sharpness.float().clamp(max=_LOG_SHARPEST).exp()

    def forward(self, cost: Tensor) -> tuple[Tensor, Tensor]:
        """Displacement, and all that was found.

        Args:
            cost: ``(N, (2r+1)^2, H, W)``.

        Returns:
            The displacement ``(N, 2, H, W)`` as ``(dx, dy)`` in cells, float32; and ``(N, 5, H, W)`` of the cost's
            dtype: the displacement, its variance along x and y in square cells, and the smooth maximum of the cost,
            minus one.
        """
        n, _, height, width = cost.shape
        side = 2 * self.radius + 1
        sharpness = self.sharpness()
        steps = torch.arange(-self.radius, self.radius + 1, dtype=torch.float32, device=cost.device).view(1, side, 1, 1)
        weights = torch.exp((cost.float() - 1.0) * sharpness).view(n, side, side, height, width)
        columns, rows = weights.sum(1), weights.sum(2)
        total = columns.sum(1, keepdim=True)
        sums = [(part * factor).sum(1) for factor in (steps, steps * steps) for part in (columns, rows)]
        moments = torch.stack(sums, dim=1) / total
        displacement, squares = moments[:, :2], moments[:, 2:]
        variance = squares - displacement * displacement
        found = torch.cat((displacement, variance, torch.log(total) / sharpness), dim=1)
        return displacement, found.to(cost.dtype)


class FlowUpdate(Float32Island):
    """Add displacements in cells to a flow in pixels. The result is zero without a previous frame."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, flow: Tensor | None, seen: Tensor, *cells: Tensor) -> Tensor:
        for part in cells:
            step = part.float() * self.stride
            flow = step if flow is None else flow + step
        assert flow is not None
        return flow * seen.float()


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
        matched: the flow before propagation, ``(N, 2, H, W)`` in pixels of the frame.
        estimate: the flow after propagation.
    """

    cost: Tensor
    sharpness: Tensor
    around: Tensor | None
    matched: Tensor
    estimate: Tensor


class Propagate(Float32Island):
    """Carry the flow of trusted cells to the others.

    Cells without texture cannot be matched. They take the mean of the flow around them, weighted by trust (normalised
    convolution, Knutsson and Westin 1993). Where nothing around is trusted, they take the mean of the frame.
    """

    def forward(self, flow: Tensor, trust_logit: Tensor) -> Tensor:
        """Flow ``(N, 2, H, W)`` float32, from flow and the logit ``(N, 1, H, W)`` of each cell's trust, 0..1."""
        trust = torch.sigmoid(trust_logit.float())
        votes = torch.cat((flow * trust, trust), dim=1)
        around = box_mean(votes, _AROUND) + _FRAME_SHARE * mean(votes)
        mean_flow = around[:, :2] / (around[:, 2:] + _LEAST_TRUST)
        return mean_flow + trust * (flow - mean_flow)


class FlowEstimator(nn.Module):
    """First estimate of the flow at one scale: a match around the coarser flow, a correction, and propagation."""

    def __init__(self, *, channels: int, hidden: int, radius: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.warp = Warp()
        self.correlate = LocalCorrelation(radius)
        self.soft_match = SoftMatch(radius)
        matches = (2 * radius + 1) ** 2 + SoftMatch.found_channels
        entering = -(-(matches + channels) // 8) * 8  # CPU and tensor-core kernels want a multiple of eight
        self.context = conv(channels, entering - matches, kernel=1)
        self.enter = conv_relu(entering, hidden)
        self.block = ResidualBlock(hidden)
        self.leave = conv(hidden, 3)
        self.update = FlowUpdate(stride)
        self.propagate = Propagate()

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
        displacement, found = self.soft_match(cost)
        known = torch.cat((cost, found, self.context(features)), dim=1)
        correction, trust = torch.split(self.leave(self.block(self.enter(known))), [2, 1], dim=1)
        matched = self.update(coarse, seen, displacement, correction)
        flow: Tensor = self.propagate(matched, trust)
        return flow, Matching(cost, self.soft_match.sharpness(), coarse, matched, flow)


class GradientStep(Float32Island):
    """One step of Lucas and Kanade (1981) on fine pictures, with a damping for each cell.

    The sums over a cell give the normal equations. They are solved twice: over wide windows, then over narrow ones.
    """

    slopes: Tensor

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.warp = Warp()
        self.band = nn.Parameter(torch.empty(1, 1, _BAND, _BAND))
        with torch.device("cpu"):  # a constant also where weights are only shapes
            slope = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
        self.register_buffer("slopes", torch.stack((slope, slope.T)).unsqueeze(1), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Make the band that of a difference of two Gaussians."""
        place = torch.arange(_BAND) - _BAND // 2
        narrow, wide = (torch.exp(-0.5 * (place / sigma) ** 2) for sigma in _BAND_SIGMAS)
        narrow, wide = narrow / narrow.sum(), wide / wide.sum()
        self.band.data.copy_(_BAND_GAIN * (torch.outer(narrow, narrow) - torch.outer(wide, wide)))

    def filters(self) -> Tensor:
        """Kernels ``(3, 2, 7, 7)`` on two pictures: slopes of their mean, and their difference, both band-passed."""
        band = self.band.float()
        slopes = exact_conv(F.pad(band, (2, 2, 2, 2)), self.slopes.float().flip((2, 3))).transpose(0, 1) / 2
        difference = F.pad(band, (1, 1, 1, 1))
        return torch.cat((slopes.repeat(1, 2, 1, 1), torch.cat((difference, -difference), dim=1)))

    def forward(self, current: Tensor, previous: Tensor, flow: Tensor, damping: Tensor, seen: Tensor) -> Tensor:
        """The better flow ``(N, 2, H, W)``, float32, in pixels of the frame.

        Args:
            current: fine picture ``(N, 1, _, _)``.
            previous: that of the previous frame.
            flow: ``(N, 2, H, W)``, float32, in pixels of the frame.
            damping: logarithm of each window's damping, relative to the mean square of the slopes, ``(N, 2, H, W)``.
            seen: ``has_history`` of the previous frame.
        """
        size_hw = (current.shape[-2], current.shape[-1])
        there = F.interpolate(flow, size=size_hw, mode="bilinear", align_corners=False)
        moved = self.warp(previous.float(), there, FINE_STRIDE)
        both = F.pad(torch.cat((current.float(), moved), dim=1), [_BAND // 2 + 1] * 4, mode="replicate")
        across, down, difference = _channels(exact_conv(both, self.filters()))
        products = torch.cat((across, across, down, across, down), 1) * torch.cat(
            (across, down, down, difference, difference), 1
        )
        sums = F.avg_pool2d(products, self.stride // FINE_STRIDE)
        sums = sums / (mean(sums[:, :1] + sums[:, 2:3]) + _BLACK)
        xx, xy, yy, *residual = _channels(sums)
        step: Tensor | None = None
        for i, window in enumerate(_WINDOWS):
            x, y = residual
            if step is not None:
                u, v = _channels(step)
                x, y = x - xx * u - xy * v, y - xy * u - yy * v
            part = _solve(box_mean(torch.cat((xx, xy, yy, x, y), dim=1), window), damping[:, i : i + 1].float())
            step = part if step is None else step + part
        assert step is not None
        return flow + step * FINE_STRIDE * seen.float()


def _solve(equations: Tensor, log_damping: Tensor) -> Tensor:
    """Solution ``(N, 2, H, W)`` of damped symmetric equations ``(N, 5, H, W)``: xx, xy, yy and the right-hand sides."""
    xx, xy, yy, x, y = _channels(equations)
    least = torch.exp(log_damping.clamp(*_LOG_DAMPING_RANGE))
    # Without damping, the determinant is negative only by rounding, as along a straight edge.
    determinant = F.relu(xx * yy - xy * xy) + least * (xx + yy + least)
    xx, yy = xx + least, yy + least
    return torch.cat((yy * x - xy * y, xx * y - xy * x), dim=1) / determinant


def _channels(x: Tensor) -> list[Tensor]:
    """Each channel ``(N, 1, H, W)``; slices, because the exporter forgets which module a split belongs to."""
    return [x[:, i : i + 1] for i in range(x.shape[1])]


def has_history(previous_match: Tensor) -> Tensor:
    """``(N, 1, H, W)``: 1 if there is a previous frame, 0 if its match features are zeros."""
    return torch.sign((previous_match * previous_match).max(dim=1, keepdim=True)[0])
