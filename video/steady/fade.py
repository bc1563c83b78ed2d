"""Takes the correction out when tracking is lost, and in again afterwards, without a jump."""

from __future__ import annotations

from .similarity import Similarity
from .tracking import Tracking

#: Part of the way that is gone per frame, out and in.
FADE_OUT, FADE_IN = 1 / 8, 1 / 6


class Fade:
    """Leads from the view that was shown last: to none while tracking is lost, to the wanted one after that.

    Attributes:
        gain: 0 to 1: what is left of the view at the loss, or share of the way to the wanted one.
    """

    def __init__(self) -> None:
        self.gain = 0.0
        self._lost = True
        self._start = self._shown = Similarity()

    def view(self, wanted: Similarity, tracking: Tracking) -> Similarity:
        """The view to show for the next frame."""
        lost = tracking is Tracking.LOST
        if lost is not self._lost:
            self._lost, self._start, self.gain = lost, self._shown, 1.0 if lost else 0.0
        if lost:
            self.gain = max(self.gain - FADE_OUT, 0.0)
            self._shown = self._start.part(self.gain)
        else:
            self.gain = min(self.gain + FADE_IN, 1.0)
            self._shown = self._start.towards(wanted, self.gain) if self.gain < 1 else wanted
        return self._shown
