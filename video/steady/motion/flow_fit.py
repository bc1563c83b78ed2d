"""The camera's motion between two frames, from the engine's flow and tooth mask."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND
from mostnet.video.steady.similarity import Fit, Points, Similarity, Weights, centre_of, fit_similarity

#: Approximate number of grid points at which flow is read, for any frame size; at 480x640, every eighth pixel.
GRID_POINTS = 4800
#: If teeth fill at least this share of the frame, only the teeth are followed.
MIN_TOOTH = 0.04
#: With fewer usable vectors than this share of the grid, the motion is unknown.
_MIN_POINTS = 0.05

#: Largest plausible motion between two frames: share of the frame's width, radians, log-scale.
_MAX_SHIFT, _MAX_ANGLE, _MAX_ZOOM = 0.25, 0.2, 0.15


@dataclass(frozen=True)
class Step:
    """Motion of one frame.

    Attributes:
        motion: takes a point of this frame to its place in the previous one; the identity if unknown.
        source: the pixels it comes from, ``teeth`` or ``frame``; ``none`` without usable flow.
        inliers: share of these pixels that agree with it, 0 to 1.
        residual_px: robust standard deviation of their flow from it, in pixels.
    """

    motion: Similarity
    source: str
    inliers: float
    residual_px: float


UNKNOWN = Step(Similarity(), "none", 0.0, float("inf"))


def camera_step(flow: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8]) -> Step:
    """Fit the camera's motion to backward flow, float32 ``(2, H, W)`` in pixels, on the teeth of ``mask``.

    Teeth do not move, so their flow is the camera's. The bur moves with the camera; cheek and water move on their own.
    Each vector is weighted with the mask's probability. With too little tooth in view, the whole frame is used. An
    implausibly large motion counts as unknown.
    """
    size_hw = (int(flow.shape[1]), int(flow.shape[2]))
    places = _grid(size_hw)
    stride = _stride(size_hw)
    vectors = np.asarray(flow[:, stride // 2 :: stride, stride // 2 :: stride], np.float64)
    usable = (np.abs(vectors) < max(size_hw)).all(axis=0)  # false for NaN too
    moved = np.where(usable, vectors[0], 0) + 1j * np.where(usable, vectors[1], 0)
    level = mask[stride // 2 :: stride, stride // 2 :: stride]
    tooth = usable & (level >= FOREGROUND)
    source = "teeth" if tooth.sum() >= MIN_TOOTH * tooth.size else "frame"
    chosen = tooth if source == "teeth" else usable
    if chosen.sum() < max(_MIN_POINTS * chosen.size if source == "frame" else 0, 8):
        return UNKNOWN
    weights = level[chosen] / 255.0 if source == "teeth" else np.ones(int(chosen.sum()))
    return _plausible(_fit(places[chosen], moved[chosen], weights, size_hw), source, size_hw)


def _fit(places: Points, vectors: Points, weights: Weights, size_hw: tuple[int, int]) -> Fit:
    return fit_similarity(places, places + vectors, weights, slack_px=max(1.0, size_hw[1] / 480))


def _plausible(fit: Fit, source: str, size_hw: tuple[int, int]) -> Step:
    motion = fit.motion
    too_large = (
        abs(motion.b) > _MAX_SHIFT * size_hw[1]
        or abs(motion.angle) > _MAX_ANGLE
        or not abs(np.log(max(motion.scale, 1e-9))) <= _MAX_ZOOM
    )
    return UNKNOWN if too_large else Step(motion, source, fit.inliers, fit.residual_px)


@lru_cache(maxsize=4)
def _grid(size_hw: tuple[int, int]) -> Points:
    """Grid points in pixels from the centre, complex, one per stride each way."""
    stride = _stride(size_hw)
    y, x = np.mgrid[stride // 2 : size_hw[0] : stride, stride // 2 : size_hw[1] : stride]
    grid: Points = x + 1j * y - centre_of(size_hw)
    grid.setflags(write=False)
    return grid


def _stride(size_hw: tuple[int, int]) -> int:
    return max(1, round(math.sqrt(size_hw[0] * size_hw[1] / GRID_POINTS)))
