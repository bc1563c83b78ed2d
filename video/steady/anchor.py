"""Hold the view on the teeth after a loss of tracking, until the path is known again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .similarity import Similarity
from .teeth import displacement, find_teeth

#: Frames for which the view is held on the teeth; then the smoothed path gradually takes over.
HOLD_FRAMES = 12
_RELEASE, _RELEASE_AWAY = 0.95, 0.85
_NEGLIGIBLE = 0.02


class Anchor:
    """Remembers where the teeth were in the steady view, and returns the view to them.

    Attributes:
        view: takes points of the held steady picture to points of the newest frame; None while nothing is held.
        weight: share of the held view in the shown one, falling from 1 to 0.
    """

    def __init__(self) -> None:
        self.view: Similarity | None = None
        self.weight = 0.0
        self._latest: tuple[npt.NDArray[np.uint8], Similarity] | None = None
        self._held = 0

    def remember(self, mask: npt.NDArray[np.uint8], view: Similarity) -> None:
        """Remember the teeth of a tracked frame, uint8 ``(H, W)``, and its shown view (steady picture to frame)."""
        self._latest = (mask.copy(), view)

    def lose(self) -> None:
        """Hold nothing, because the motion of the newest frame is unknown."""
        self.view, self.weight = None, 0.0

    def take_hold(self, mask: npt.NDArray[np.uint8]) -> None:
        """Return the view to the teeth of ``mask``; hold nothing if they do not match the teeth remembered last."""
        self.lose()
        if self._latest is None:
            return
        before, view = self._latest
        now_teeth, before_teeth = find_teeth(mask), find_teeth(before)
        if now_teeth is None or before_teeth is None:
            return
        gap = displacement(now_teeth, before_teeth)
        if gap is not None:
            self.view, self.weight, self._held = view.then(gap.inverse()), 1.0, 0

    def push(self, motion: Similarity, *, room_px: float) -> None:
        """Move the held view with the scene; ``motion`` takes points of the new frame to the one before.

        The hold lasts ``HOLD_FRAMES``. It ends sooner if the camera moves away, since the crop allows only ``room_px``.
        """
        if self.view is None:
            return
        self.view = self.view.then(motion.inverse())
        self._held += 1
        if abs(self.view.b) > room_px:
            self.weight *= _RELEASE_AWAY
        elif self._held > HOLD_FRAMES:
            self.weight *= _RELEASE
        if self.weight < _NEGLIGIBLE:
            self.lose()
