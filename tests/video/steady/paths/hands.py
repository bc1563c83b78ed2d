"""Drawn paths of a hand, and the path of their steady picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mostnet.video.steady.metrics import vibration
from mostnet.video.steady.paths.horizon import HorizonPath
from mostnet.video.steady.similarity import Similarity

SIZE_HW = (480, 640)


def hand(count: int, *, px: float = 5.0, seed: int = 0) -> list[Similarity]:
    """Motions of a hand whose shift shakes by ``px`` RMS: waves of 0.4 to 4 Hz that fade with the frequency."""
    rng = np.random.default_rng(seed)
    frequency = np.exp(rng.uniform(np.log(0.016), np.log(0.16), (4, 12, 1)))
    waves = np.sin(2 * np.pi * frequency * np.arange(count) + rng.uniform(0, 6, frequency.shape)) / frequency
    waves = waves.sum(axis=1)
    x, y, zoom, angle = waves / waves.std(axis=1, keepdims=True)
    path = [
        Similarity(complex(a), complex(b))
        for a, b in zip(np.exp(0.001 * zoom + 0.002j * angle), px * (x + 1j * y), strict=True)
    ]
    return motions_of(path)


def motions_of(poses: Sequence[Similarity]) -> list[Similarity]:
    """Motion of each frame to the one before; the identity for the first."""
    return [Similarity(), *(now.then(before.inverse()) for before, now in pairwise(poses))]


def pan(speeds: Sequence[float] | np.ndarray) -> list[Similarity]:
    """Motions to the right at ``speeds`` in pixels per frame."""
    return [Similarity(1 + 0j, complex(speed)) for speed in speeds]


def views_of(path: HorizonPath, motions: Sequence[Similarity], lookahead: int, crop: float = 0.2) -> list[Similarity]:
    """The view of every frame, as the stabiliser would ask for it."""
    views = []
    for motion in motions:
        path.push(motion)
        if path.waiting > lookahead:
            views.append(path.commit(SIZE_HW, crop))
    return views + [path.commit(SIZE_HW, crop) for _ in range(path.waiting)]


def shown_path(motions: Sequence[Similarity], views: Sequence[Similarity] | None = None) -> np.ndarray:
    """``(N, 2)``: the sum of the shifts of the picture's centre; of the camera's picture without views."""
    views = views or [Similarity()] * len(motions)
    steps = [Similarity()]
    for before, motion, now in zip(views, motions[1:], views[1:], strict=False):
        steps.append(now.then(motion).then(before.inverse()))
    return np.cumsum([(step.b.real, step.b.imag) for step in steps], axis=0)


def jitter_ratio(motions: Sequence[Similarity], views: Sequence[Similarity]) -> float:
    """Jitter of the steady picture over that of the camera's: RMS of the path minus its 27-frame average."""
    return vibration(shown_path(motions, views)) / vibration(shown_path(motions))
