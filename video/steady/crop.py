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
        calm_decline: decline per second of a live clip whose view uses none of the room.
    """

    live: float
    known: float
    least: float
    calm_decline: float


#: Limits of each kind of steady path, and the largest value of all. A held tooth would move with the zoom, so there the
#: crop stays.
LIMITS = {
    "vibration": CropLimits(live=0.1, known=0.05, least=0.05, calm_decline=0.0),
    "hand": CropLimits(live=0.15, known=0.15, least=0.05, calm_decline=0.03),
    "hold": CropLimits(live=0.25, known=0.25, least=0.25, calm_decline=0.0),
}
MOST = 0.25
#: Growth and least decline of an automatic crop per second. A live crop grows faster, because no frame that comes was
#: known when it began. While it grows, the edge of a picture 640 pixels wide moves by 0.8 pixels a frame, else by 0.4.
GROWTH, LIVE_GROWTH, DECLINE = 0.03, 0.06, 0.0025
#: The crop grows while the view uses more than this share of the room, and shrinks while it uses less.
_TIGHT, _LOOSE = 0.85, 0.6
#: A live crop shrinks the faster the less of this share is used. A zoom magnifies whatever moves in the scene.
_WASTED = 0.4
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
        self._growth = GROWTH if options.lookahead else LIVE_GROWTH
        self._calm_decline = 0.0 if options.lookahead else self._limits.calm_decline
        self._keep = 1 - 1 / (_MEMORY_S * options.fps)
        self.restart()

    @property
    def _auto(self) -> bool:
        return self._given == "auto"

    def restart(self) -> None:
        """Begin a clip: the crop may be set once, before its first picture is shown."""
        self._peak = 0.0
        self._open = self._auto
        self.value = self._limits.live if isinstance(self._given, str) else self._given

    def fit(self, use: Callable[[float], float]) -> None:
        """Set the least crop of which the coming frames use little enough; ``use`` gives the share for a crop.

        Only the first call after ``restart`` has an effect.
        """
        if self._open:
            self._open = False
            calm = use(self._limits.least) <= _CALM
            choices = np.arange(self._limits.least if calm else self._limits.known, MOST, _STEP)
            self.value = next((float(crop) for crop in choices if use(float(crop)) <= _ROOMY), MOST)

    def close(self) -> None:
        """Let the crop change slowly from now on, because a picture is shown."""
        self._open = False

    def follow(self, use: float) -> None:
        """Change the crop slowly after a frame that used this share of its room."""
        self._peak = max(use, self._keep * self._peak)
        if self._auto and self._peak > _TIGHT:
            self.value = min(self.value + self._growth / self._fps, MOST)
        elif self._auto and self._peak < _LOOSE:
            decline = max(DECLINE, self._calm_decline * (1 - self._peak / _WASTED))
            self.value = max(self.value - decline / self._fps, self._limits.least)
