"""A path that stands still while the crop allows it, follows softly where it does not, and stands still again."""

from __future__ import annotations

import numpy as np

from mostnet.video.steady.room import used
from mostnet.video.steady.similarity import Similarity

from .horizon import HorizonPath, view_of
from .solver import PAST, Floats, Smoothness

#: The view lets go if a frame of the near future would use more than this of its room.
_LET_GO = 0.9
#: It stands still again if these frames would use less than this, and it moves slower than a share of the frame's side.
_TAKE_HOLD, _SLOW = 0.4, 0.0008
#: Frames that count as near at 25 frames per second, of a forecast and of a known future.
_FORECAST, _KNOWN = 4, 12


class HoldPath(HorizonPath):
    """Locks the view on its first pose and lets go near the edge of the crop.

    Attributes:
        locked: whether the view stands still.
    """

    def __init__(self, smoothness: Smoothness, *, lookahead: int = 0, pace: float = 1.0) -> None:
        self._near = max(round(_FORECAST * pace), min(round(_KNOWN * pace), lookahead), 1)
        super().__init__(smoothness, lookahead=lookahead, pace=pace)

    def restart(self) -> None:
        """Forget the path; the next frame starts a new one, and its pose is held."""
        super().restart()
        self.locked = self._locks = True

    def commit(self, size_hw: tuple[int, int], crop: float) -> Similarity:
        """The view of the oldest waiting frame."""
        view = super().commit(size_hw, crop)
        self.locked = self._locks
        return view

    def _solve(self, size_hw: tuple[int, int], crop: float) -> Floats:
        """Offsets of the held pose while it fits, else those of the smooth path."""
        held = self._held()
        share = self._share(held, size_hw, crop)
        self._locks = share <= (_LET_GO if self.locked else _TAKE_HOLD) and (self.locked or self._is_slow(size_hw))
        return held if self._locks else super()._solve(size_hw, crop)

    def _held(self) -> Floats:
        """Offsets of a view that stays at the last pose, or at the first frame's."""
        camera, shown = self._relative()
        return (shown[-1] if len(shown) else np.zeros(4)) - camera

    def _share(self, offsets: Floats, size_hw: tuple[int, int], crop: float) -> float:
        return max(used(view_of(offset), size_hw, crop) for offset in offsets[: self._near])

    def _is_slow(self, size_hw: tuple[int, int]) -> bool:
        if len(self._shown) < PAST:
            return False
        before, now = self._shown
        step = now.then(before.inverse())
        return abs(step.b) + abs(step.a - 1) * min(size_hw) / 2 < _SLOW * min(size_hw)
