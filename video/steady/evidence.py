"""Evidence that the mask shows teeth: it is decided, has a plausible size, and moves with the picture.

A network marks teeth in a film without any, too. There it is unsure, and its mask flickers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND
from mostnet.video.steady.motion.flow_fit import MIN_TOOTH

from .similarity import Similarity

Mask = npt.NDArray[np.uint8]

#: Height of the masks that are compared, in pixels.
_HEIGHT = 120
#: Share of the newest frame in the running means.
_NEW = 0.15


@dataclass(frozen=True)
class Grounds:
    """What speaks for teeth in a mask, as running means.

    Attributes:
        certainty: mean probability of the pixels that are taken for tooth, 0 to 1.
        share: their share of the frame, 0 to 1.
        overlap: how well the mask before, moved with the picture, covers this one: intersection over union of the
            probabilities, 0 to 1.
    """

    certainty: float
    share: float
    overlap: float


@dataclass(frozen=True)
class EvidenceBounds:
    """Least certainty and overlap, and the range of the share, with which teeth are seen."""

    certainty: float
    shares: tuple[float, float]
    overlap: float

    def hold(self, grounds: Grounds) -> bool:
        """Whether nothing is out of bounds."""
        least, most = self.shares
        return (
            grounds.certainty >= self.certainty and least <= grounds.share <= most and grounds.overlap >= self.overlap
        )


#: EvidenceBounds to see teeth, and to go on seeing them. Between them, the verdict stays.
SEE = EvidenceBounds(certainty=0.86, shares=(MIN_TOOTH, 0.95), overlap=0.8)
KEEP = EvidenceBounds(certainty=0.84, shares=(0.75 * MIN_TOOTH, 0.97), overlap=0.75)


class TeethEvidence:
    """Decides from one frame to the next whether teeth are seen.

    Attributes:
        seen: the verdict at the newest frame; false until a second frame with a known motion has come.
        grounds: running means over some seven frames; None before the second such frame.
    """

    def __init__(self) -> None:
        self.seen = False
        self.grounds: Grounds | None = None
        self._before: Mask | None = None

    def update(self, mask: Mask, motion: Similarity | None) -> bool:
        """Add a frame and return the verdict.

        Args:
            mask: the engine's teeth, uint8 ``(H, W)``.
            motion: takes points of this frame to the one before, in pixels; None if unknown, which changes nothing.
        """
        small = _small(mask)
        before, self._before = self._before, small
        if before is None or motion is None:
            return self.seen
        scale = small.shape[0] / mask.shape[0]
        now = _grounds(small, before, Similarity(motion.a, motion.b * scale))
        self.grounds = now if self.grounds is None else _mixed(self.grounds, now)
        self.seen = (KEEP if self.seen else SEE).hold(self.grounds)
        return self.seen


def _grounds(mask: Mask, before: Mask, motion: Similarity) -> Grounds:
    tooth = mask >= FOREGROUND
    certainty = float(mask[tooth].mean()) / 255 if tooth.any() else 0.0
    return Grounds(certainty, float(tooth.mean()), _overlap(mask, before, motion))


def _overlap(mask: Mask, before: Mask, motion: Similarity) -> float:
    """Intersection over union of two masks in the part of the frame that both show; 0 if both are empty there."""
    size_hw = (mask.shape[0], mask.shape[1])
    matrix = motion.matrix(size_hw)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    both = cv2.warpAffine(np.full(size_hw, 255, np.uint8), matrix, size_hw[::-1], flags=flags)
    moved = cv2.warpAffine(before, matrix, size_hw[::-1], flags=flags)
    now = cv2.min(mask, both)
    union = float(cv2.max(moved, now).sum())
    return float(cv2.min(moved, now).sum()) / union if union else 0.0


def _mixed(means: Grounds, now: Grounds) -> Grounds:
    def mixed(mean: float, new: float) -> float:
        return mean + _NEW * (new - mean)

    return Grounds(
        mixed(means.certainty, now.certainty), mixed(means.share, now.share), mixed(means.overlap, now.overlap)
    )


def _small(mask: Mask) -> Mask:
    width = max(1, round(mask.shape[1] * _HEIGHT / mask.shape[0]))
    return np.asarray(cv2.resize(mask, (width, _HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
