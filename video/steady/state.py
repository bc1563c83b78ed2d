"""What the stabiliser gives for each frame: how to show it, and how it came to that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame
from mostnet.video.steady.motion.step import Step
from mostnet.video.steady.shutter.rows import RowSkew

from .similarity import Similarity
from .tracking import Tracking

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SteadyState:
    """The stabiliser's state at one frame.

    Attributes:
        tracking: tracking, no teeth seen, degraded or lost.
        source, candidate, inliers, residual: how the motion was found, see ``Step``.
        gain: share of the correction that is shown, 0 to 1; while lost, the share of the last one that is left.
        frame_id: number of the frame.
        drift: ``(2, 3)``, from the previous steady picture to this one; None after a break.
        crop: share of height and width that the view gives up.
        worse: whether the correction is faded because the picture would shake more with it.
        readout: readout of a rolling shutter that is undone, as a share of the frame period; 0: none.
        teeth: whether there is evidence that the mask shows teeth, see ``TeethEvidence``.
    """

    tracking: Tracking
    source: str
    candidate: str
    inliers: float
    residual: float
    gain: float
    frame_id: int
    drift: Matrix | None
    crop: float = 0.0
    worse: bool = False
    readout: float = 0.0
    teeth: bool = False


class Correction(NamedTuple):
    """How to show a frame: forward matrix, the stabiliser's state, and the skew of a rolling shutter.

    The matrix is float64 ``(2, 3)`` from frame to steady picture, for ``cv2.warpAffine``. The skew is undone before;
    None if there is none.
    """

    matrix: Matrix
    state: SteadyState
    rows: RowSkew | None = None


@dataclass
class WaitingFrame:
    """A frame whose correction has not been returned yet.

    Attributes:
        frame_id: number of the frame.
        step: how its motion was found.
        motion: takes its points to the frame before; None if unknown.
        tracking: whether the motion is known and teeth are seen.
        anchor, weight: the view held on the teeth after a loss, and its share; None if nothing is held.
        small: the frame as ``JitterWatch`` takes it, uint8 ``(96, 128)``.
        starts: whether a clip or a scene begins with it.
        teeth: whether there is evidence of teeth.
        view: from points of the steady picture to points of the frame; None until it is fixed.
        crop: share of height and width to crop off; None until it is fixed.
    """

    frame_id: int
    step: Step
    motion: Similarity | None
    tracking: Tracking
    anchor: Similarity | None
    weight: float
    small: Frame
    starts: bool = False
    teeth: bool = False
    view: Similarity | None = None
    crop: float | None = None
