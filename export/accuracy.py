"""Compares a candidate's outputs with the reference, and holds the bounds for the differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND, Frame
from mostnet.contract.metrics import end_point_error_px, overlap, psnr_db

_WHITE = 255.0
_FEW_PX, _FEW_SHARE = 8, 20_000
#: A mask with a smaller share of foreground, or of background, is trivial.
_LEAST_FOREGROUND = 0.05


@dataclass(frozen=True)
class Bounds:
    """Limits that every frame of an exported graph must keep against the float32 PyTorch network.

    Attributes:
        psnr_db: least PSNR of the enhanced picture.
        epe_px: largest mean end-point error of the flow.
        iou: least intersection over union of the mask.
    """

    psnr_db: float
    epe_px: float
    iou: float


BOUNDS = {
    "fp32": Bounds(psnr_db=55.0, epe_px=0.01, iou=0.999),
    "fp16": Bounds(psnr_db=45.0, epe_px=0.05, iou=0.995),
    "int8": Bounds(psnr_db=35.0, epe_px=0.25, iou=0.97),
}


@dataclass(frozen=True)
class FrameAccuracy:
    """One frame against its reference.

    Attributes:
        psnr_db: of the enhanced picture; infinite if equal.
        epe_px: of the flow.
        iou: of the mask.
        finite: the candidate's ``finite`` output.
        few_mask_px: so few mask pixels differ that ``iou`` says nothing (``few_pixels``): in a mask of ten pixels, a
            single one that rounds differently gives an IoU of 0.9.
    """

    psnr_db: float
    epe_px: float
    iou: float
    finite: bool
    few_mask_px: bool = False

    @classmethod
    def of(
        cls, outputs: Sequence[npt.NDArray[Any]], reference: Sequence[npt.NDArray[Any]], *, finite: bool
    ) -> FrameAccuracy:
        """Compare a frame's enhanced picture, flow and mask, in this order, with those of the reference."""
        picture, flow, mask = outputs
        reference_picture, reference_flow, reference_mask = reference
        return cls(
            psnr_db(picture, reference_picture),
            end_point_error_px(flow, reference_flow),
            overlap(mask, reference_mask).iou,
            finite,
            few_pixels(mask, reference_mask),
        )

    def keeps(self, bounds: Bounds) -> bool:
        """Whether this frame is within ``bounds``; a NaN is not."""
        mask_kept = self.iou >= bounds.iou or self.few_mask_px
        return self.finite and self.psnr_db >= bounds.psnr_db and self.epe_px <= bounds.epe_px and mask_kept


def few_pixels(mask: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8]) -> bool:
    """Whether at most eight pixels, or one in 20,000 of a large frame, are tooth in one mask only."""
    differing = int(np.count_nonzero((mask >= FOREGROUND) != (reference >= FOREGROUND)))
    return differing <= max(_FEW_PX, mask.size // _FEW_SHARE)


@dataclass(frozen=True)
class Activity:
    """How active the reference network is, in one frame or over a clip: one that does nothing passes any comparison.

    Attributes:
        picture_levels: root mean square difference of enhanced picture and frame, in grey levels.
        flow_px: mean length of the flow vectors.
        foreground: share of mask pixels that are tooth.
    """

    picture_levels: float
    flow_px: float
    foreground: float

    @classmethod
    def of(cls, frame: Frame, outputs: Sequence[npt.NDArray[Any]]) -> Activity:
        """The activity in one frame, from the reference's enhanced picture, flow and mask, in this order."""
        picture, flow, mask = outputs
        change = np.subtract(picture, frame, dtype=np.float32)
        return cls(
            math.sqrt(float(np.mean(change * change))),
            float(np.mean(np.hypot(*flow))),
            float(np.mean(mask >= FOREGROUND)),
        )

    @classmethod
    def over(cls, frames: Sequence[Activity]) -> Activity:
        """The activity over a clip."""
        return cls(
            math.sqrt(float(np.mean([frame.picture_levels**2 for frame in frames]))),
            float(np.mean([frame.flow_px for frame in frames])),
            float(np.mean([frame.foreground for frame in frames])),
        )

    def trivial(self, bounds: Bounds) -> tuple[str, ...]:
        """Why a comparison within ``bounds`` proves little; empty if it proves something.

        The picture is trivial if the input frames themselves, averaged over the clip, would keep its bound.
        """
        reasons = []
        allowed = _WHITE * 10 ** (-bounds.psnr_db / 20)
        if self.picture_levels <= allowed:
            reasons.append(f"the picture changes by {self.picture_levels:.2f} grey levels, at most {allowed:.2f}")
        if self.flow_px < 1:
            reasons.append(f"the flow is {self.flow_px:.2f} px long, under 1")
        if not _LEAST_FOREGROUND <= self.foreground <= 1 - _LEAST_FOREGROUND:
            reasons.append(f"the mask is {self.foreground:.1%} foreground, outside 5 to 95 %")
        return tuple(reasons)


def worst(frames: Sequence[FrameAccuracy]) -> FrameAccuracy:
    """The worst value of each measure over a clip."""
    return FrameAccuracy(
        psnr_db=min(f.psnr_db for f in frames),
        epe_px=max(f.epe_px for f in frames),
        iou=min(f.iou for f in frames),
        finite=all(f.finite for f in frames),
    )


def mean(frames: Sequence[FrameAccuracy]) -> FrameAccuracy:
    """The mean over a clip; PSNR from the mean of the squared errors."""
    error = np.mean([0.0 if math.isinf(f.psnr_db) else 10 ** (-f.psnr_db / 10) for f in frames])
    return FrameAccuracy(
        psnr_db=math.inf if error == 0 else -10 * math.log10(error),
        epe_px=float(np.mean([f.epe_px for f in frames])),
        iou=float(np.mean([f.iou for f in frames])),
        finite=all(f.finite for f in frames),
    )
