"""Structural similarity of two pictures."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame, FrameError
from mostnet.contract.metrics import check_pictures

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Ssim(NamedTuple):
    """Structural similarity of one picture.

    Attributes:
        inside: averaged where the window lies inside the picture, as Z. Wang et al. define it.
        whole: averaged over the whole picture, mirrored at its edges, as torchmetrics computes it.
    """

    inside: float
    whole: float


def ssim(picture: Frame, reference: Frame) -> Ssim:
    """Structural similarity of uint8 ``(H, W, 3)``, the mean over channels.

    Z. Wang et al., "Image quality assessment", IEEE TIP 13 (2004): 11x11 Gaussian window of sigma 1.5, K 0.01 and 0.03,
    population covariances.

    Raises:
        FrameError: not two uint8 pictures of one size, or a side is under 11 pixels.
    """
    check_pictures(picture, reference)
    if min(picture.shape[:2]) < _WINDOW:
        raise FrameError(f"pictures are {picture.shape[:2]} pixels; SSIM needs at least {_WINDOW} on each side")
    x, y = picture.astype(np.float64), reference.astype(np.float64)
    mean_x, mean_y = _window(x), _window(y)
    var_x, var_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    similarity = luminance * (2 * covariance + _C2) / (var_x + var_y + _C2)
    edge = _WINDOW // 2
    return Ssim(float(np.mean(similarity[edge:-edge, edge:-edge])), float(np.mean(similarity)))


def _window(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gaussian-weighted local means; beyond its edges the picture is mirrored at the centres of the outer pixels."""
    return np.asarray(cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA, borderType=cv2.BORDER_REFLECT_101))
