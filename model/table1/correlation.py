"""RAFT's parts without weights, all float32: correlation of all pairs, its lookup, and convex upsampling.

They follow Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mostnet.model.layers import Float32Island

#: Pixels per cell.
_STRIDE = 8


class AllPairs(Float32Island):
    """Inner products of all cells of one frame with all cells of the other, at several resolutions of the other."""

    def __init__(self, *, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, current: Tensor, previous: Tensor) -> tuple[Tensor, ...]:
        """``(N, C, H, W)`` twice -> ``(N * H * W, 1, h + 2, w + 2)`` per level, with a border of zeros.

        With that border, a lookup that clamps its coordinates finds zero outside the picture.
        """
        n, channels, height, width = current.shape
        queries = current.float().reshape(n, channels, height * width).transpose(1, 2)
        keys = previous.float().reshape(n, channels, height * width)
        volume = torch.matmul(queries, keys).reshape(n * height * width, 1, height, width) / channels**0.5
        levels = [volume]
        for _ in range(self.levels - 1):
            levels.append(F.avg_pool2d(levels[-1], 2))
        return tuple(F.pad(level, (1, 1, 1, 1)) for level in levels)


class CorrelationLookup(Float32Island):
    """Correlations within ``radius`` cells of the position to which the flow points, at every level."""

    def __init__(self, *, radius: int) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, pyramid: tuple[Tensor, ...], flow: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Correlations ``(N, levels * (2r+1)^2, H, W)`` and the flow, both as ``dtype``.

        ``flow`` is ``(N, 2, H, W)`` float32 in cells. Displacements are ordered by x, then by y.
        """
        n, _, height, width = flow.shape
        centre = (flow + _cells(height, width, flow.device)).permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
        side = 2 * self.radius + 1
        reach = torch.arange(side, device=flow.device) - float(self.radius)
        window = torch.stack((reach[:, None].expand(side, side), reach[None, :].expand(side, side)), dim=-1)
        found = []
        for level, correlation in enumerate(pyramid):
            places = centre / 2**level + window + 1.0
            sides = [correlation.shape[-1], correlation.shape[-2]]
            scale = torch.cat([torch.full((1,), 2.0 / (each - 1), device=flow.device) for each in sides])
            sampled = F.grid_sample(
                correlation, places * scale - 1.0, mode="bilinear", padding_mode="border", align_corners=True
            )
            found.append(sampled.reshape(n, height, width, side * side))
        return torch.cat(found, dim=-1).permute(0, 3, 1, 2).to(dtype), flow.to(dtype)


class FlowSum(Float32Island):
    """The flow after a change, ``(N, 2, H, W)`` float32."""

    def forward(self, flow: Tensor, change: Tensor) -> Tensor:
        return flow + change.float()


class ConvexUpsample(Float32Island):
    """Flow at eight times the size: each pixel is a weighted mean of the nine cells around it."""

    def forward(self, flow: Tensor, weights: Tensor) -> Tensor:
        """Flow ``(N, 2, H, W)`` in cells and logits ``(N, 9 * 64, H, W)`` -> ``(N, 2, 8 H, 8 W)`` in pixels."""
        n, _, height, width = flow.shape
        shares = torch.softmax(weights.float().reshape(n, 1, 9, _STRIDE, _STRIDE, height, width), dim=2)
        padded = F.pad(_STRIDE * flow, (1, 1, 1, 1))
        around = [padded[..., dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
        fine = (shares * torch.stack(around, dim=2)[:, :, :, None, None]).sum(2)  # (N, 2, 8, 8, H, W)
        return fine.permute(0, 1, 4, 2, 5, 3).reshape(n, 2, _STRIDE * height, _STRIDE * width)


def _cells(height: int, width: int, device: torch.device) -> Tensor:
    """The place ``(x, y)`` of every cell, ``(2, H, W)``."""
    columns, rows = (torch.arange(side, device=device).float() for side in (width, height))
    return torch.stack((columns[None, :].expand(height, width), rows[:, None].expand(height, width)))
