"""Learn what stands still in the frame while the scene moves: uneven light, a smear on the lens.

It pulls every estimate of the motion towards zero, most of all on a surface with little texture. The difference that a
confirmed motion leaves between two pictures tells how wrong the known pattern is. This is scene-based nonuniformity
correction by registration (R. Hardie et al., "Scene-based nonuniformity correction with video sequences and
registration", Applied Optics 39, 2000), with a running update in place of a mean.
"""

from __future__ import annotations

import cv2
import numpy as np

from mostnet.video.steady.similarity import Similarity

from .alignment import BEYOND
from .pyramid import Level, Picture

#: Share of the difference that is learnt from one frame, and of the pattern that is kept.
_RATE, _KEPT = 0.4, 0.995
#: A difference teaches at most this much, in grey levels: what moves on its own is no pattern.
_MOST = 5.0
#: A pattern is smooth: without this blur, in samples of the coarse level, the pattern would hold sensor noise.
_BLUR = 2.5


class LensPattern:
    """The fixed part of the pictures of one camera.

    Attributes:
        picture: grey levels to subtract from the coarse level, float32 ``(h, w)``; None until something is learnt.
    """

    def __init__(self) -> None:
        self.picture: Picture | None = None

    def learn(self, before: Level, now: Level, motion: Similarity) -> None:
        """Learn from two coarse levels, both without the pattern known so far, and the motion between them.

        A motion shorter than a sample teaches less, because the pattern hardly shows.
        """
        apart = before.moved(motion) - now.samples
        apart = np.where(np.abs(apart) < BEYOND, np.clip(apart, -_MOST, _MOST), 0).astype(np.float32)
        step = min(1.0, abs(motion.b) / now.grid.step_yx[0])
        known = self.picture if self.picture is not None and self.picture.shape == apart.shape else 0.0
        self.picture = np.asarray(_KEPT * known - _RATE * step * cv2.GaussianBlur(apart, (0, 0), _BLUR), np.float32)
