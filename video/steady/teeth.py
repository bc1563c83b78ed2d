"""Position of the teeth in a mask, to which the view returns after a loss of tracking."""

from __future__ import annotations

import cmath
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND

from .similarity import Similarity, centre_of

_SHRINK = 4
_MIN_SHARE = 0.02
#: If the frame cuts the teeth off along more than this share of its edge, their centroid depends on the cut.
_MAX_CUT = 0.02
#: Below this ratio of the axes the teeth are round and have no direction.
_MIN_ELONGATION = 1.25
_MAX_TURN = 0.35
_MAX_ZOOM = 1.3


@dataclass(frozen=True, eq=False)
class Teeth:
    """Where the teeth are in a frame, in pixels from its centre.

    Attributes:
        centroid: centre of mass of the mask.
        axis: angle of the longer principal axis in radians, modulo pi.
        elongation: longer over shorter principal deviation.
        extent_px: square root of the area.
        cut: share of the frame's edge that is tooth.
        small: the mask's probability at a quarter of the size, float32.
    """

    centroid: complex
    axis: float
    elongation: float
    extent_px: float
    cut: float
    small: npt.NDArray[np.float32]


def find_teeth(mask: npt.NDArray[np.uint8]) -> Teeth | None:
    """Position of the teeth in a mask, uint8 ``(H, W)``; None with too little tooth."""
    height, width = mask.shape
    size = (max(width // _SHRINK, 1), max(height // _SHRINK, 1))
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    small[small < FOREGROUND / 2] = 0
    moments = cv2.moments(small)
    share = moments["m00"] / (255 * small.size)
    if share < _MIN_SHARE:
        return None
    scale_x, scale_y = width / size[0], height / size[1]
    mean = complex(
        (moments["m10"] / moments["m00"] + 0.5) * scale_x - 0.5, (moments["m01"] / moments["m00"] + 0.5) * scale_y - 0.5
    )
    spread = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]) / moments["m00"]
    values, vectors = np.linalg.eigh(spread)
    edge = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    return Teeth(
        centroid=mean - centre_of((height, width)),
        axis=float(np.arctan2(vectors[1, 1], vectors[0, 1])),
        elongation=float(np.sqrt(values[1] / max(values[0], 1e-6))),
        extent_px=float(np.sqrt(share * height * width)),
        cut=float((edge >= FOREGROUND).mean()),
        small=small / 255,
    )


def displacement(now: Teeth, before: Teeth) -> Similarity | None:
    """The similarity that takes points of this frame to the earlier one, from the teeth of both; None if they disagree.

    Whole teeth give shift, rotation and zoom through centroid, principal axis and extent. Teeth that the frame cuts off
    give only the shift, through phase correlation of the masks.
    """
    if now.small.shape != before.small.shape:
        return None
    if max(now.cut, before.cut) > _MAX_CUT:
        return _by_overlap(now, before)
    zoom = before.extent_px / now.extent_px
    turn = 0.0
    if min(now.elongation, before.elongation) >= _MIN_ELONGATION:
        turn = (before.axis - now.axis + np.pi / 2) % np.pi - np.pi / 2
    if abs(turn) > _MAX_TURN or not 1 / _MAX_ZOOM < zoom < _MAX_ZOOM:
        return None
    rate = cmath.rect(zoom, turn)
    return Similarity(rate, before.centroid - rate * now.centroid)


def _by_overlap(now: Teeth, before: Teeth) -> Similarity | None:
    window = cv2.createHanningWindow(now.small.shape[::-1], cv2.CV_32F)
    # With their means, the masks would correlate like the windows: at zero shift.
    (dx, dy), response = cv2.phaseCorrelate(now.small - now.small.mean(), before.small - before.small.mean(), window)
    if response < 0.05 or abs(now.extent_px / before.extent_px - 1) > _MAX_ZOOM - 1:
        return None
    return Similarity(1 + 0j, _SHRINK * complex(dx, dy))
