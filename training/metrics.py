"""The source's metrics of one frame: PSNR and SSIM of the picture, end-point error of the flow, IoU of the mask.

What a split's figure is made of is said at ``mostnet.training.evaluation.scores``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND, FrameError

Bgr = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]
Valid = npt.NDArray[np.bool_]

_PEAK = 255.0
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2


class FlowError(NamedTuple):
    """Sum of the end-point errors of so many flow vectors, in pixels."""

    sum_px: float
    pixels: int


class Overlap(NamedTuple):
    """Pixels that are foreground in both masks, and in either."""

    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1 where both masks are empty."""
        return 1.0 if self.union == 0 else self.intersection / self.union


def psnr_db(picture: Bgr, reference: Bgr) -> float:
    """Peak signal-to-noise ratio ``10 log10(255^2 / MSE)`` of uint8 ``(H, W, 3)``; infinite where they are equal.

    Raises:
        FrameError: not two uint8 pictures of one size.
    """
    _check_pictures(picture, reference)
    error = float(np.mean((picture.astype(np.float32) - reference.astype(np.float32)) ** 2, dtype=np.float64))
    return math.inf if error == 0 else 10 * math.log10(_PEAK**2 / error)


def ssim(picture: Bgr, reference: Bgr) -> float:
    """Structural similarity of uint8 ``(H, W, 3)``, the mean over channels.

    Z. Wang et al., "Image quality assessment", IEEE TIP 13 (2004): 11x11 Gaussian window of sigma 1.5, K 0.01 and 0.03,
    population covariances, averaged where the window lies inside the picture.

    Raises:
        FrameError: not two uint8 pictures of one size, or a side is under 11 pixels.
    """
    _check_pictures(picture, reference)
    if min(picture.shape[:2]) < _WINDOW:
        raise FrameError(f"SSIM of pictures of {picture.shape[:2]} pixels; its window takes {_WINDOW} on each side")
    x, y = picture.astype(np.float64), reference.astype(np.float64)
    mean_x, mean_y = _window(x), _window(y)
    var_x, var_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (var_x + var_y + _C2)
    return float(np.mean(luminance * structure))


def flow_error(flow: Flow, reference: Flow, valid: Valid) -> FlowError:
    """End-point errors of flow ``(2, H, W)`` in pixels where ``valid`` ``(H, W)``.

    Raises:
        FrameError: shapes differ, or a vector at a valid pixel is not finite.
    """
    check_flow(flow, reference, valid)
    errors = np.hypot(*(flow - reference)[:, valid])
    return FlowError(float(errors.sum(dtype=np.float64)), int(errors.size))


def check_flow(flow: Flow, reference: Flow, valid: Valid) -> None:
    """Return if both flows are ``(2, H, W)`` and finite where ``valid`` ``(H, W)``.

    Raises:
        FrameError: they are not.
    """
    wanted = (2, *valid.shape)
    if flow.shape != wanted or reference.shape != wanted or valid.dtype != np.bool_:
        raise FrameError(
            f"flow {flow.shape}, its reference {reference.shape} and validity {valid.dtype} {valid.shape} do not fit; "
            "expected (2, H, W), (2, H, W) and bool (H, W)"
        )
    for name, values in (("predicted flow", flow), ("flow label", reference)):
        bad = int(np.count_nonzero(~np.isfinite(values[:, valid]).all(axis=0)))
        if bad:
            raise FrameError(f"{name} is NaN or infinite at {bad} valid pixels; mark them invalid, or find their cause")


def overlap(mask: Mask, reference: Mask) -> Overlap:
    """Compare uint8 masks ``(H, W)``, foreground from 128.

    Raises:
        FrameError: not two uint8 masks of one size.
    """
    if mask.shape != reference.shape or mask.ndim != 2 or not mask.dtype == reference.dtype == np.uint8:
        raise FrameError(
            f"masks are {mask.dtype} {mask.shape} and {reference.dtype} {reference.shape}; expected uint8 (H, W) twice"
        )
    a, b = mask >= FOREGROUND, reference >= FOREGROUND
    return Overlap(int(np.count_nonzero(a & b)), int(np.count_nonzero(a | b)))


def _check_pictures(picture: Bgr, reference: Bgr) -> None:
    is_picture = picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == reference.dtype == np.uint8
    if picture.shape != reference.shape or not is_picture:
        raise FrameError(
            f"pictures are {picture.dtype} {picture.shape} and {reference.dtype} {reference.shape}; "
            "expected uint8 (H, W, 3) twice"
        )


def _window(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gaussian-weighted local means, where the whole window lies inside."""
    edge = _WINDOW // 2
    blurred: npt.NDArray[np.float64] = cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA)
    return blurred[edge:-edge, edge:-edge]
