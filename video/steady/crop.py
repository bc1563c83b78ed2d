"""Share of the frame that is cropped off: given, or fitted to the shake."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .options import StabiliserOptions


class CropLimits(NamedTuple):
    """Values of an automatic crop.

    Attributes:
        live: first value of a clip of which nothing is known.
        known: least first value of a clip whose first frames are known, if they shake at all.
        least: least value.
        opening: growth per second in the first ``OPENING_S`` of a clip of which nothing is known.
    """

    live: float
    known: float
    least: float
    opening: float


#: Growth and decline of an automatic crop per second. While it grows, the edge of a picture 640 pixels wide moves by a
#: third of a pixel a frame.
GROWTH, DECLINE = 0.03, 0.0025
#: Limits of each kind of steady path. The live view of a shaking hand is zoomed within a second. That of a still camera
#: keeps nearly all of the picture. A held tooth would move with the zoom, so there the crop stays.
LIMITS = {
    "vibration": CropLimits(live=0.1, known=0.05, least=0.05, opening=GROWTH),
    "hand": CropLimits(live=0.02, known=0.15, least=0.02, opening=0.35),
    "hold": CropLimits(live=0.25, known=0.25, least=0.25, opening=GROWTH),
}
#: Largest value of an automatic crop.
MOST = 0.25
#: First seconds of a live clip, in which the crop may grow by ``opening``.
OPENING_S = 2.0
#: The crop grows while the view uses more than this share of the room, and shrinks while it uses less.
_TIGHT, _LOOSE = 0.85, 0.6
#: Most use of the room by the first frames, and by frames that hardly shake.
_ROOMY, _CALM = 0.4, 0.2
#: Seconds after which a peak of the use is forgotten, to ``1 / e`` of its height.
_MEMORY_S = 4.0
#: Step between the crops that are tried for the first frames.
_STEP = 0.025


class CropControl:
    """The crop of every frame.

    Attributes:
        value: share of height and width to crop off.
    """

    def __init__(self, options: StabiliserOptions) -> None:
        self._limits = LIMITS[options.steady]
        self._given = options.crop
        self._fps = options.fps
        self._keep = 1 - 1 / (_MEMORY_S * options.fps)
        self._unknown_frames = round(OPENING_S * self._fps)
        self.value = self._limits.live if isinstance(self._given, str) else self._given
        self.restart()

    @property
    def _auto(self) -> bool:
        return self._given == "auto"

    def restart(self) -> None:
        """Begin a scene: ``fit`` may set the crop before its first picture is shown; a live view keeps its crop."""
        self._peak = 0.0
        self._open = self._auto

    def fit(self, use: Callable[[float], float]) -> None:
        """Set the least crop of which the coming frames use little enough; ``use`` gives the share for a crop.

        Only the first call after ``restart`` has an effect.
        """
        if self._open:
            self._open, self._unknown_frames = False, 0
            calm = use(self._limits.least) <= _CALM
            choices = np.arange(self._limits.least if calm else self._limits.known, MOST, _STEP)
            self.value = next((float(crop) for crop in choices if use(float(crop)) <= _ROOMY), MOST)

    def close(self) -> None:
        """Let the crop change slowly from now on, because a picture is shown."""
        self._open = False

    def follow(self, use: float) -> None:
        """Change the crop slowly after a frame that used this share of its room; faster while a live clip begins."""
        self._peak = max(use, self._keep * self._peak)
        opening = self._unknown_frames > 0 and self._limits.opening > GROWTH
        self._unknown_frames -= 1
        if self._auto and self._peak > (_LOOSE if opening else _TIGHT):
            self.value = min(self.value + (self._limits.opening if opening else GROWTH) / self._fps, MOST)
        elif self._auto and self._peak < _LOOSE:
            self.value = max(self.value - DECLINE / self._fps, self._limits.least)
