"""Compare two pictures under a motion, and refine the motion until they match.

The refinement is Gauss-Newton in its inverse compositional form (S. Baker and I. Matthews, "Lucas-Kanade 20 Years On",
IJCV 2004) with Tukey's biweight, so that instruments, water and highlights that move on their own do not count.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.video.steady.similarity import Similarity

from .pyramid import OUTSIDE, Level, Picture

#: Differences above this, in grey levels, are places outside the other picture.
BEYOND = OUTSIDE / 4
#: At least this share of the picture must overlap with the other one.
_MIN_OVERLAP = 0.35
#: Differences count at most this much in a comparison, in grey levels.
_CAP = 30.0
#: Standard deviations above which a pixel does not count. The usual 4.685 would let the estimate jump between two
#: motions in view.
_TUKEY = 7.0
#: Standard deviation of a median of absolute differences, and its least value in grey levels.
_MEDIAN_TO_SIGMA, _LEAST_SIGMA = 1.4826, 0.5
#: Refinement ends when a step is shorter than this, in pixels.
_CONVERGED_PX = 0.1
#: Tiles that vote on a motion, and the shift in samples of the four motions beside it.
_TILES_HW, _BESIDE = (6, 8), 2


def difference(before: Level, now: Level, motion: Similarity, weights: Picture) -> float:
    """Weighted mean difference of two pictures in grey levels; infinite if they hardly overlap.

    Args:
        before, now: levels of one size.
        motion: takes points of ``now`` to ``before``.
        weights: float32 ``(h, w)`` of the samples, not negative.
    """
    apart = np.abs(before.moved(motion) - now.samples)
    used = weights * (apart < BEYOND)
    total = float(used.sum())
    if not total > _MIN_OVERLAP * float(weights.sum()):
        return float("inf")
    return float((np.minimum(apart, _CAP) * used).sum()) / total


def refined(before: Level, now: Level, motion: Similarity, weights: Picture, *, steps: int) -> Similarity:
    """``motion`` after at most ``steps`` steps of Gauss-Newton, which reduce the difference of the two pictures."""
    slopes, weights = now.slopes, weights.ravel()
    for _ in range(steps):
        apart = (before.moved(motion) - now.samples).ravel()
        scaled = apart / (_TUKEY * _sigma(apart))
        trust = np.maximum(1 - scaled * scaled, 0) ** 2 * weights
        weighted = slopes * trust
        normal = weighted @ slopes.T
        ridge = 1e-6 * float(np.trace(normal)) + 1e-9
        change = np.linalg.solve(normal + ridge * np.eye(4, dtype=np.float32), weighted @ apart)
        turn, shift = complex(change[0], change[1]), complex(change[2], change[3])
        if not abs(turn) + abs(shift) < now.reach_px:
            break  # nothing holds the motion here, and the step would throw it out of the picture
        motion = Similarity(1 + turn / now.reach_px, shift).inverse().then(motion)
        if abs(turn) + abs(shift) < _CONVERGED_PX:
            break
    return motion


def agreement(before: Level, now: Level, motion: Similarity, weights: Picture) -> float:
    """Share of the textured picture that agrees with a motion, 0 to 1.

    The picture is divided into tiles. A tile agrees if the two pictures differ less there than after the same motion
    shifted up, down, left or right. A tile counts by its weight, and by its texture compared with the noise.
    """
    moved = before.moved(motion)
    inside = (np.abs(moved) < BEYOND).astype(np.float32)
    inside = cv2.erode(inside, np.ones((2 * _BESIDE + 1, 2 * _BESIDE + 1), np.uint8), borderValue=0)
    costs = [_tiles(_squares(moved, now.samples, *shift) * _core(inside)) for shift in _SHIFTS]
    here, beside = costs[0], np.stack(costs[1:])
    texture = np.minimum(beside.mean(axis=0) / (4 * np.median(here) + 1e-3), 1)
    count = texture * _tiles(_core(np.ascontiguousarray(weights * inside)))
    total = float(count.sum())
    return float(count[here < beside.min(axis=0)].sum()) / total if total > 0 else 0.0


_SHIFTS = ((0, 0), (-_BESIDE, 0), (_BESIDE, 0), (0, -_BESIDE), (0, _BESIDE))


def _squares(moved: Picture, now: Picture, down: int, right: int) -> Picture:
    height, width = moved.shape
    edge = _BESIDE
    other = moved[edge + down : height - edge + down, edge + right : width - edge + right]
    apart = other - _core(now)
    return np.asarray(apart * apart)


def _core(picture: Picture) -> Picture:
    return picture[_BESIDE:-_BESIDE, _BESIDE:-_BESIDE]


def _tiles(picture: npt.NDArray[np.float32]) -> Picture:
    means: Picture = cv2.resize(np.ascontiguousarray(picture), _TILES_HW[::-1], interpolation=cv2.INTER_AREA)
    return means


def _sigma(apart: Picture) -> float:
    """Robust standard deviation of the differences, from every fifth one inside the other picture."""
    size = np.abs(apart[::5])
    size = size[size < BEYOND]
    middle = len(size) // 2
    median = float(np.partition(size, middle)[middle]) if len(size) else 0.0
    return max(_MEDIAN_TO_SIGMA * median, _LEAST_SIGMA)
