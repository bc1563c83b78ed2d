"""The skew of each frame of a clip, from the motions to both neighbours and the camera's readout."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mostnet.video.steady.similarity import Points, Similarity, Weights, least_squares

from .estimator import Matches, ShutterEstimator
from .rows import RowSkew
from .velocity import REACH, velocity

#: Settings beside a number: estimate the readout, or correct nothing.
AUTO, OFF = "auto", "off"
#: Most that the readout in use changes from one frame to the next, so that no picture jumps.
_RAMP = 0.05
#: Forgetting of the largest displacement per frame.
_PEAK_MEMORY = 1 - 1 / 100
#: Shears that are asked for from every frame; later, from every fourth.
_EAGER, _RARE = 60, 4


class _Entry(NamedTuple):
    """What is known of a frame: motion to the one before, and the points that gave it."""

    motion: Similarity | None
    points: Points
    weights: Weights | None
    size_hw: tuple[int, int]


def checked_setting(shutter: float | str) -> float | str:
    """Return a setting of the shutter.

    Raises:
        ValueError: it is neither ``auto`` nor ``off`` nor a number from -1 to 1.
    """
    known = shutter in (AUTO, OFF) if isinstance(shutter, str) else abs(shutter) <= 1
    if not known:
        raise ValueError(f"shutter is {shutter!r}; expected {AUTO!r}, {OFF!r} or the readout's share, -1 to 1")
    return shutter


def row_skew(
    motions: Sequence[Similarity], share: float, height_px: int, points: Points, weights: Weights | None = None
) -> RowSkew:
    """The skew of a frame whose readout takes ``share`` of the frame period.

    Args:
        motions: ``2 K`` motions around the frame, as ``velocity`` takes them.
        share: negative if the last row comes first.
        height_px: height of the frame.
        points: the points of the frame that gave its motion, complex ``(N,)`` in pixels from the centre.
        weights: their weights; None: all alike.
    """
    rate, shift = (share / height_px * part for part in velocity(motions))
    weights = np.ones(len(points)) if weights is None else weights
    held = least_squares(points, points.imag * (rate * points + shift), weights)
    return RowSkew(rate, shift, *held)


class ShutterCorrection:
    """Gives the skew of each frame, once the motions to both neighbours are known.

    Attributes:
        share: readout in use, as a share of the frame period; 0: nothing is corrected.
        reach_px: largest displacement by the skews given lately; 0 before the first.
    """

    def __init__(self, shutter: float | str = AUTO, *, lookahead: int) -> None:
        """Correct the given readout, or the one that is found (``auto``); without look-ahead, correct nothing.

        Raises:
            ValueError: the setting is unknown.
        """
        shutter = checked_setting(shutter)
        self._reach = 0 if shutter == OFF else min(REACH, lookahead)
        self._estimator = ShutterEstimator(reach=self._reach) if shutter == AUTO and self._reach else None
        self.share = 0.0 if isinstance(shutter, str) or not self.active else float(shutter)
        self.reach_px = 0.0
        self._entries: deque[_Entry] = deque()
        self._given = 0
        self._frames = 0

    @property
    def active(self) -> bool:
        """Whether a frame may ever be corrected; if not, ``push`` and ``next`` do nothing."""
        return self._reach > 0

    @property
    def wants_matches(self) -> bool:
        """Whether ``push`` should get matches of the next frame; without them the readout stays as it is known."""
        return self._estimator is not None and (self._estimator.count < _EAGER or self._frames % _RARE == 0)

    def push(
        self,
        motion: Similarity | None,
        *,
        size_hw: tuple[int, int],
        points: Points,
        weights: Weights | None = None,
        matches: Matches | None = None,
    ) -> None:
        """Add the newest frame.

        Args:
            motion: takes its points to the frame before; None if unknown.
            size_hw: height and width of the frame.
            points, weights: the points that gave the motion, and their weights.
            matches: points of the frame and their places in the one before; they may hold outliers.
        """
        self._frames += 1
        if not self.active:
            return
        self._entries.append(_Entry(motion, points, weights, size_hw))
        if self._estimator is None:
            return
        if motion is None:
            self._estimator.restart()
        else:
            self._estimator.push(motion, matches, height_px=size_hw[0])

    def next(self) -> RowSkew | None:
        """The skew of the oldest frame not given yet; None if there is none to undo. Call it once per frame."""
        if not self.active:
            return None
        motions = self._around()
        entry = self._entries[self._given]
        self._given += 1
        if self._given > self._reach:
            self._entries.popleft()
            self._given -= 1
        if self._estimator is not None:
            gap = self._estimator.share - self.share
            self.share += math.copysign(min(abs(gap), _RAMP), gap)
        self.reach_px *= _PEAK_MEMORY
        if motions is None or not self.share:
            return None
        skew = row_skew(motions, self.share, entry.size_hw[0], entry.points, entry.weights)
        self.reach_px = max(self.reach_px, skew.furthest_px(entry.size_hw))
        return skew

    def _around(self) -> list[Similarity] | None:
        """The motions around the frame, the nearest known one repeated; None if one of the nearest two is unknown."""
        entries = list(self._entries)
        back = _known(entries[self._given :: -1], self._reach)
        ahead = _known(entries[self._given + 1 :], self._reach)
        return [*reversed(back), *ahead] if back and ahead else None


def _known(entries: Sequence[_Entry], count: int) -> list[Similarity]:
    """The first ``count`` motions, up to the first unknown one, whose place the last known one takes."""
    motions: list[Similarity] = []
    for entry in entries[:count]:
        if entry.motion is None:
            break
        motions.append(entry.motion)
    return motions + motions[-1:] * (count - len(motions))
