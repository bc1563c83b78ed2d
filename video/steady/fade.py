"""Fade the correction out when tracking is lost, and back in afterwards, without a jump."""

from __future__ import annotations

from .similarity import Similarity
from .tracking import Tracking

#: Change of the gain per frame, out and in.
FADE_OUT, FADE_IN = 1 / 8, 1 / 6


class Fade:
    """Moves the shown view to the identity while tracking is lost, and to the wanted view otherwise.

    Attributes:
        lost: whether tracking was lost at the last frame; None before the first.
        gain: 0 to 1; while lost, the share of the last view that is left, otherwise the share of the wanted view.
    """

    def __init__(self) -> None:
        self.gain = 0.0
        self.lost: bool | None = None
        self._start = self._shown = Similarity()

    def view(self, wanted: Similarity, tracking: Tracking) -> Similarity:
        """The view to show for the next frame."""
        lost = tracking is Tracking.LOST
        if self.lost is None:  # nothing was shown before, so nothing can jump
            self.lost, self.gain, self._shown = lost, float(not lost), Similarity() if lost else wanted
        if lost is not self.lost:
            self.lost, self._start, self.gain = lost, self._shown, 1.0 if lost else 0.0
        if lost:
            self.gain = max(self.gain - FADE_OUT, 0.0)
            self._shown = self._start.part(self.gain)
        else:
            self.gain = min(self.gain + FADE_IN, 1.0)
            self._shown = self._start.towards(wanted, self.gain) if self.gain < 1 else wanted
        return self._shown
