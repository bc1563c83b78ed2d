"""Detect cuts, darkness, a covered lens, and a camera that repeats its picture."""

from __future__ import annotations

from collections import deque
from enum import Enum
from time import perf_counter

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame

_SMALL_HW = (30, 40)
#: Largest motion within a scene, in pixels of the thumbnail: a tenth of the frame.
_SHIFT = 4
#: At a cut, the correlation with the frame before is below this ...
_SAME = 0.5
#: ... and below the recent median by more than this.
_DROP = 0.25
_RECENT = 12
_DARK_LEVEL, _DARK_PEAK = 16, 40
_FLAT = 3.0


class SceneEvent(Enum):
    """How a frame differs from the one before."""

    SAME = "same"
    CUT = "cut"
    DARK = "dark"
    BACK = "back"

    @property
    def resets_engine(self) -> bool:
        """Whether the recurrent state is useless for this frame, because it comes from another scene or darkness."""
        return self in (SceneEvent.CUT, SceneEvent.BACK)

    @property
    def breaks_tracking(self) -> bool:
        """Whether the flow of this frame is meaningless."""
        return self is not SceneEvent.SAME


class SceneGuard:
    """Detects cuts, blackouts and a covered lens on the camera's frames, before the engine sees them.

    ::

        if guard.check(frame).resets_engine:
            engine.reset()
        output = engine.infer(frame)
    """

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float32] | None = None
        self._likeness: deque[float] = deque(maxlen=_RECENT)
        self._dark = False

    def check(self, frame: Frame) -> SceneEvent:
        """Compare uint8 ``(H, W, 3)`` with the frame before; a change of brightness alone is no event."""
        small = _thumbnail(frame)
        if self._is_dark(small):
            self._dark = True
            return SceneEvent.DARK
        last, self._last = self._last, small
        if self._dark:
            self._dark = False
            self._likeness.clear()
            return SceneEvent.BACK
        return self._compare(small, last)

    def _compare(self, small: npt.NDArray[np.float32], last: npt.NDArray[np.float32] | None) -> SceneEvent:
        if last is None:
            return SceneEvent.SAME
        core = small[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
        likeness = float(cv2.matchTemplate(last, core, cv2.TM_CCOEFF_NORMED).max())
        usual = float(np.median(self._likeness)) if self._likeness else 1.0
        if likeness < _SAME and likeness < usual - _DROP:
            self._likeness.clear()
            return SceneEvent.CUT
        self._likeness.append(likeness)
        return SceneEvent.SAME

    def _is_dark(self, small: npt.NDArray[np.float32]) -> bool:
        """Whether the picture is black, or featureless as with an instrument or a finger on the lens."""
        black = small.mean() < _DARK_LEVEL and np.percentile(small, 98) < _DARK_PEAK
        return bool(black or small.std() < _FLAT)


class FreezeGuard:
    """Detects a camera that repeats its picture: the sensor noise of a working camera never repeats."""

    def __init__(self, *, limit_s: float = 0.2) -> None:
        """``limit_s``: a picture that stays the same for longer counts as frozen."""
        self._limit_s = limit_s
        self._last: Frame | None = None
        self._since_s = 0.0

    def check(self, frame: Frame, *, now_s: float | None = None) -> bool:
        """Whether uint8 ``(H, W, 3)`` is a frozen picture; ``now_s`` is a monotonic clock's time."""
        now_s = perf_counter() if now_s is None else now_s
        if self._last is None or self._last.shape != frame.shape or not np.array_equal(self._last, frame):
            self._last, self._since_s = frame, now_s
            return False
        return now_s - self._since_s > self._limit_s


def _thumbnail(frame: Frame) -> npt.NDArray[np.float32]:
    """Grey, float32 ``(30, 40)``, 0 to 255."""
    step = max(1, min(frame.shape[0] // (2 * _SMALL_HW[0]), frame.shape[1] // (2 * _SMALL_HW[1])))
    grey = cv2.cvtColor(np.ascontiguousarray(frame[::step, ::step]), cv2.COLOR_BGR2GRAY)
    small: npt.NDArray[np.float32] = cv2.resize(grey, _SMALL_HW[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    return small
