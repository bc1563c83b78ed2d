"""Share of the frame that is cropped off: given, or fitted to the shake."""

from __future__ import annotations

from collections.abc import Callable

from .options import StabiliserOptions

#: Limits of an automatic crop, and its start where nothing is known of the coming frames.
LEAST, MOST = 0.05, 0.25
START = {"vibration": 0.1, "hand": 0.2, "hold": 0.2}
#: Change of an automatic crop per second. At the edge of a frame 640 pixels wide, the picture moves by 1.6 px a second.
RATE = 0.005
#: The crop grows while the view uses more than this share of the room, and shrinks while it uses less.
_TIGHT, _LOOSE = 0.85, 0.6
#: Seconds after which a peak of the use is forgotten, to ``1 / e`` of its height.
_MEMORY_S = 4.0
#: Crops that a known first window of a clip chooses from.
_CHOICES = (0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.225, 0.25)


class CropControl:
    """The crop of every frame.

    Attributes:
        value: share of height and width to crop off.
    """

    def __init__(self, options: StabiliserOptions) -> None:
        self._auto = isinstance(options.crop, str)
        self._start = START[options.steady] if isinstance(options.crop, str) else options.crop
        self._step = RATE / options.fps
        self._keep = 1 - 1 / (_MEMORY_S * options.fps)
        self.restart()

    def restart(self) -> None:
        """Begin a clip: the crop may be set once, before its first picture is shown."""
        self._peak = 0.0
        self._open = self._auto
        self.value = self._start

    def fit(self, use: Callable[[float], float]) -> None:
        """Set the least crop of which the coming frames use little enough; ``use`` gives the share for a crop.

        Only the first call after ``restart`` has an effect.
        """
        if self._open:
            self._open = False
            self.value = next((crop for crop in _CHOICES if use(crop) <= _TIGHT), MOST)

    def close(self) -> None:
        """Let the crop change slowly from now on, because a picture is shown."""
        self._open = False

    def follow(self, use: float) -> None:
        """Change the crop slowly after a frame that used this share of its room."""
        self._peak = max(use, self._keep * self._peak)
        if not self._auto:
            return
        change = self._step * ((self._peak > _TIGHT) - (self._peak < _LOOSE))
        self.value = min(max(self.value + change, LEAST), MOST)
