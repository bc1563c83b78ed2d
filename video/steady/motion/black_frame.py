"""Find what is always black: the bars of a letterbox, and the mask around an endoscope's picture.

Their edges stand still while the scene moves, so they would hold the estimate at zero.
"""

from __future__ import annotations

import cv2
import numpy as np

from .pyramid import Picture, Pyramid

#: Grey level of a black pixel. The peak of the past frames falls by this factor per frame.
_BLACK, _MEMORY = 20.0, 0.99
#: The picture beside a black pixel does not count either, in samples of the coarse picture each way.
_BESIDE = 2
#: If less than this share of the frame is left, all of it counts.
_LEAST_SHARE = 0.1


class BlackFrame:
    """Remembers the brightest level of each place."""

    def __init__(self) -> None:
        self._peak: Picture | None = None

    def inside(self, now: Pyramid) -> Picture:
        """1 where the scene is, 0 where the frame is always black; float32 ``(h, w)`` of the coarse level."""
        grey = now.coarse_grey
        faded = grey if self._peak is None or self._peak.shape != grey.shape else _MEMORY * self._peak
        self._peak = np.maximum(faded, grey)
        lit = (self._peak >= _BLACK).astype(np.float32)
        if lit.all():
            return lit
        side = 2 * _BESIDE + 1
        inside = cv2.erode(lit, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
        return np.asarray(inside, np.float32) if inside.mean() >= _LEAST_SHARE else np.ones_like(lit)
