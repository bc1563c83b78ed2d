"""Exact motions and matches of a camera that reads its frames row by row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mostnet.bench.steady.rolling import CameraPath, Poses
from mostnet.video.steady.similarity import Similarity, fit_similarity

SIZE_HW = (240, 320)
_RNG = np.random.default_rng(7)
POINTS = _RNG.uniform(-150, 150, 150) + 1j * _RNG.uniform(-110, 110, 150)


def shaking(hz: float = 6.0, px: float = 2.0) -> CameraPath:
    """A camera that vibrates at about ``hz`` in shift and turn, at 25 frames per second."""

    def path(times: np.ndarray) -> Poses:
        turns = 2 * np.pi * hz / 25 * times
        turn = 0.004 * np.sin(1.05 * turns + 1)
        return Poses(np.exp(1j * turn), px * (np.sin(turns) + 1j * np.sin(0.8 * turns + 2)) + 0.4 * times)

    return path


def matches_of(path: CameraPath, frame: float, share: float) -> tuple[np.ndarray, np.ndarray]:
    """``POINTS`` of a frame, and where the frame before shows the same places of the world."""
    height = SIZE_HW[0]
    own = path(frame + share * POINTS.imag / height)
    world = own.a * POINTS + own.b
    moved = POINTS
    for _ in range(5):  # the row in the frame before decides the time
        pose = path(frame - 1 + share * moved.imag / height)
        moved = (world - pose.b) / pose.a
    return POINTS, moved


def run(
    path: CameraPath, count: int, share: float, spoil: Callable[[int, np.ndarray], np.ndarray] | None = None
) -> list[tuple[Similarity, tuple[np.ndarray, np.ndarray]]]:
    """Motion and matches of ``count`` frames; ``spoil`` changes the places before."""
    found = []
    for frame in range(count):
        points, moved = matches_of(path, frame, share)
        moved = moved if spoil is None else spoil(frame, moved)
        found.append((fit_similarity(points, moved, np.ones(len(points))), (points, moved)))
    return found
