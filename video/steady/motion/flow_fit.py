"""Estimates of the camera's motion from the engine's flow: on the teeth, and on the whole frame."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND
from mostnet.video.steady.similarity import Points, Similarity, Weights, centre_of, fit_similarity

Flow = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]

#: Approximate number of grid points at which flow is read, for any frame size; at 480x640, every eleventh pixel.
GRID_POINTS = 2400
#: If teeth fill at least this share of the frame, they are worth following.
MIN_TOOTH = 0.04
#: With fewer usable vectors than this share of the grid, the motion is unknown.
_MIN_POINTS = 0.05
_LEAST = 8

#: Largest plausible motion between two frames: share of the frame's width, radians, log-scale.
_MAX_SHIFT, _MAX_ANGLE, _MAX_ZOOM = 0.25, 0.2, 0.15


def teeth_motion(flow: Flow, mask: Mask) -> Similarity | None:
    """Fit the motion to backward flow, float32 ``(2, H, W)`` in pixels, on the teeth of ``mask``, uint8 ``(H, W)``.

    Teeth do not move, so their flow is the camera's. The bur moves with the camera; cheek and water move on their own.
    Each vector is weighted with the mask's probability. Returns None with too little tooth in view, and if the motion
    is implausibly large.
    """
    size_hw = (int(flow.shape[1]), int(flow.shape[2]))
    vectors, usable = _sampled(flow, size_hw)
    stride = _stride(size_hw)
    level = mask[stride // 2 :: stride, stride // 2 :: stride]
    tooth = usable & (level >= FOREGROUND)
    if tooth.sum() < max(MIN_TOOTH * tooth.size, _LEAST):
        return None
    return _fit(_grid(size_hw)[tooth], vectors[tooth], level[tooth] / 255.0, size_hw)


def frame_motion(flow: Flow) -> Similarity | None:
    """Fit the motion to backward flow, float32 ``(2, H, W)`` in pixels, on the whole frame; None as above."""
    size_hw = (int(flow.shape[1]), int(flow.shape[2]))
    vectors, usable = _sampled(flow, size_hw)
    count = int(usable.sum())
    if count < max(_MIN_POINTS * usable.size, _LEAST):
        return None
    return _fit(_grid(size_hw)[usable], vectors[usable], np.ones(count), size_hw)


def _sampled(flow: Flow, size_hw: tuple[int, int]) -> tuple[Points, npt.NDArray[np.bool_]]:
    """Flow at the grid points as complex numbers, zero where it is not usable, and whether it is."""
    stride = _stride(size_hw)
    parts = np.asarray(flow[:, stride // 2 :: stride, stride // 2 :: stride], np.float64)
    usable = np.asarray((np.abs(parts) < max(size_hw)).all(axis=0))  # false for NaN too
    return np.where(usable, parts[0], 0) + 1j * np.where(usable, parts[1], 0), usable


def _fit(places: Points, vectors: Points, weights: Weights, size_hw: tuple[int, int]) -> Similarity | None:
    motion = fit_similarity(places, places + vectors, weights)
    return motion if plausible(motion, size_hw) else None


def plausible(motion: Similarity, size_hw: tuple[int, int]) -> bool:
    """Whether a camera can move like this between two frames of ``size_hw``."""
    return (
        abs(motion.b) <= _MAX_SHIFT * size_hw[1]
        and abs(motion.angle) <= _MAX_ANGLE
        and abs(math.log(max(motion.scale, 1e-9))) <= _MAX_ZOOM
    )


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
