"""Measures of one frame's outputs against a reference: PSNR, end-point error of the flow, IoU of the mask."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import FrameError
from .tensors import FOREGROUND, Frame

Mask = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]
Valid = npt.NDArray[np.bool_]

_PEAK = 255.0


class FlowError(NamedTuple):
    """Sum of the end-point errors in pixels, and the number of flow vectors in it."""

    sum_px: float
    pixels: int


class Overlap(NamedTuple):
    """Numbers of pixels that are foreground in both masks, and in at least one."""

    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """Intersection over union, the index of P. Jaccard, New Phytologist 11 (1912); 1 if both masks are empty."""
        return 1.0 if self.union == 0 else self.intersection / self.union


def psnr_db(picture: Frame, reference: Frame) -> float:
    """Peak signal-to-noise ratio ``10 log10(255^2 / MSE)`` of uint8 ``(H, W, 3)`` in dB; infinite if they are equal.

    Z. Wang and A. Bovik, "Mean squared error: love it or leave it?", IEEE Signal Processing Magazine 26 (2009). The
    mean squared error is over all pixels and channels.

    Raises:
        FrameError: not two uint8 pictures of one size.
    """
    check_pictures(picture, reference)
    error = float(np.mean((picture.astype(np.float32) - reference.astype(np.float32)) ** 2, dtype=np.float64))
    return math.inf if error == 0 else 10 * math.log10(_PEAK**2 / error)


def end_point_error_px(flow: Flow, reference: Flow) -> float:
    """Mean end-point error of flow ``(2, H, W)`` in pixels; NaN if a vector is NaN.

    The end-point error is the Euclidean distance of two flow vectors (S. Baker et al., IJCV 92 (2011)).
    """
    return float(np.mean(np.hypot(*(flow - reference)), dtype=np.float64))


def flow_error(flow: Flow, reference: Flow, valid: Valid) -> FlowError:
    """End-point errors of flow ``(2, H, W)`` in pixels at the pixels where ``valid`` ``(H, W)`` is true.

    Raises:
        FrameError: shapes differ, or a vector at a valid pixel is not finite.
    """
    check_flow(flow, reference, valid)
    errors = np.hypot(*(flow - reference)[:, valid])
    return FlowError(float(errors.sum(dtype=np.float64)), int(errors.size))


def overlap(mask: Mask, reference: Mask) -> Overlap:
    """Compare the foregrounds (128 and above) of two uint8 masks ``(H, W)``.

    Raises:
        FrameError: not two uint8 masks of one size.
    """
    if mask.shape != reference.shape or mask.ndim != 2 or not mask.dtype == reference.dtype == np.uint8:
        raise FrameError(
            f"masks are {mask.dtype} {mask.shape} and {reference.dtype} {reference.shape}; "
            "expected two uint8 (H, W) masks of one size"
        )
    a, b = mask >= FOREGROUND, reference >= FOREGROUND
    return Overlap(int(np.count_nonzero(a & b)), int(np.count_nonzero(a | b)))


def check_pictures(picture: Frame, reference: Frame) -> None:
    """Check that both are uint8 ``(H, W, 3)`` of one size.

    Raises:
        FrameError: they are not.
    """
    is_picture = picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == reference.dtype == np.uint8
    if picture.shape != reference.shape or not is_picture:
        raise FrameError(
            f"pictures are {picture.dtype} {picture.shape} and {reference.dtype} {reference.shape}; "
            "expected two uint8 (H, W, 3) pictures of one size"
        )


def check_flow(flow: Flow, reference: Flow, valid: Valid) -> None:
    """Check that both flows are ``(2, H, W)`` and finite where ``valid`` ``(H, W)`` is true.

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
