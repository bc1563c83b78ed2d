"""A frame as cells of 4x4 pixels. ``pixel_unshuffle`` makes cells of pixels, ``pixel_shuffle`` pixels of cells."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import STRIDES
from .layers import exact_conv

COLOURS = 3
#: Numbers in one cell.
CELL_NUMBERS = COLOURS * STRIDES[0] ** 2


class Shrink(nn.Module):
    """The frame at half its size, as cells of 2x2 pixels, and at a quarter, both from cells of 4x4 pixels."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        with torch.device("cpu"):  # a constant also where weights are only shapes
            weight = self._means()
        self.register_buffer("weight", weight, persistent=False)

    @staticmethod
    def _means() -> Tensor:
        pixels = torch.eye(CELL_NUMBERS).reshape(CELL_NUMBERS, COLOURS * STRIDES[0] ** 2, 1, 1)
        picture = F.pixel_shuffle(pixels, STRIDES[0])
        parts = [F.pixel_unshuffle(F.avg_pool2d(picture, 2), 2), F.avg_pool2d(picture, 4)]
        weight = torch.cat([part.reshape(CELL_NUMBERS, -1) for part in parts], dim=1).T
        return weight.reshape(-1, CELL_NUMBERS, 1, 1)

    def forward(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        half, quarter = torch.split(exact_conv(cells, self.weight), [4 * COLOURS, COLOURS], dim=1)
        return half, quarter


def fine_picture(half: Tensor) -> Tensor:
    """The grey frame at half its size, ``(N, 1, H / 2, W / 2)`` of -0.5..0.5, from cells of 2x2 pixels."""
    return F.pixel_shuffle(half.reshape(half.shape[0], COLOURS, 4, *half.shape[2:]).mean(1), 2) - 0.5


class UpsampleToCells(nn.Module):
    """Bilinear upsampling of ``(N, 3, H, W)`` by four, as cells ``(N, 48, H, W)``."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        with torch.device("cpu"):
            weight = self._taps()
        self.register_buffer("weight", weight, persistent=False)

    @staticmethod
    def _taps() -> Tensor:
        taps = torch.eye(COLOURS * 9).reshape(COLOURS * 9, COLOURS, 3, 3)
        large = F.interpolate(F.pad(taps, (1, 1, 1, 1)), scale_factor=4.0, mode="bilinear", align_corners=False)
        weight = (
            F.pixel_unshuffle(large[..., 8:12, 8:12], STRIDES[0])
            .reshape(COLOURS, 3, 3, CELL_NUMBERS)
            .permute(3, 0, 1, 2)
        )
        return weight.contiguous()

    def forward(self, x: Tensor) -> Tensor:
        return exact_conv(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.weight)
