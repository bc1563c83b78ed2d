"""JPEG compression of a batch of pictures on any device: the loss of ITU-T T.81, without its files."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: Tables K.1 and K.2 of ITU-T T.81.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99,) * 8] * 4,
)
#: Y, Cb and Cr from B, G and R (ITU-T T.871).
_YCC = ((0.114, 0.587, 0.299), (0.5, -0.331264, -0.168736), (-0.081312, -0.418688, 0.5))
_SIDE = 8


def compress(pictures: Tensor, quality: Tensor) -> Tensor:
    """Pictures as JPEG leaves them, with chroma at half the resolution.

    Args:
        pictures: BGR ``(N, 3, H, W)`` float32, 0 to 255.
        quality: 1 to 100 for each picture, ``(N,)``.
    """
    height, width = pictures.shape[2:]
    padded = F.pad(pictures, (0, -width % 16, 0, -height % 16), mode="replicate")
    matrix = pictures.new_tensor(_YCC)
    ycc = torch.einsum("ij,njhw->nihw", matrix, padded) - pictures.new_tensor([128.0, 0, 0]).view(1, 3, 1, 1)
    luma = _quantised(ycc[:, :1], _LUMA, quality)
    chroma = _quantised(F.avg_pool2d(ycc[:, 1:], 2), _CHROMA, quality)
    wide = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    back = torch.cat([luma + 128, wide], 1)
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(matrix), back)[:, :, :height, :width].clamp(0, 255).round()


def _quantised(planes: Tensor, table: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """Planes ``(N, C, H, W)`` after the discrete cosine transform of 8x8 blocks, quantisation, and back."""
    n, count, height, width = planes.shape
    scale = torch.where(quality < 50, 5000 / quality.clamp_min(1), 200 - 2 * quality).view(-1, 1, 1)
    steps = ((planes.new_tensor(table) * scale + 50) / 100).floor().clamp(1, 255)
    cosine = _cosine().to(planes.device)
    blocks = planes.view(n, count, height // _SIDE, _SIDE, width // _SIDE, _SIDE).transpose(3, 4)
    found = cosine @ blocks @ cosine.T
    steps = steps.view(n, 1, 1, 1, _SIDE, _SIDE)
    kept = (found / steps).round() * steps
    return (cosine.T @ kept @ cosine).transpose(3, 4).reshape(n, count, height, width)


def _cosine() -> Tensor:
    """The orthonormal DCT-II matrix ``(8, 8)``."""
    k = torch.arange(_SIDE, dtype=torch.float32)
    rows = torch.cos(math.pi / _SIDE * (k + 0.5) * k[:, None]) * math.sqrt(2 / _SIDE)
    return torch.cat([rows[:1] / math.sqrt(2), rows[1:]])
