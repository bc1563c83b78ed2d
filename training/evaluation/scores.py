"""The measures of single frames, and the figures of a split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mostnet.contract.metrics import FlowError, Overlap, flow_error, overlap, psnr_db
from mostnet.engine import Output
from mostnet.training.data.dataset import LabelledFrame

from .motion import ToothMotion, tooth_motion
from .ssim import ssim

#: A larger PSNR counts as this in a mean, because the PSNR of equal pictures is infinite.
PSNR_CAP_DB = 100.0


@dataclass(frozen=True)
class FrameScore:
    """One frame against its labels. A measure is None if its label is missing or it was not asked for.

    Attributes:
        psnr_db: of the picture; infinite if it equals its reference.
        ssim: of the picture.
        flow: end-point errors over the valid pixels; None for the first frame of a sequence.
        overlap: of the masks.
        motion: of the teeth; None also if hardly any are visible.
    """

    psnr_db: float | None = None
    ssim: float | None = None
    flow: FlowError | None = None
    overlap: Overlap | None = None
    motion: ToothMotion | None = None


@dataclass(frozen=True)
class Scores:
    """Figures of many frames. A figure is None if no frame has its label.

    Attributes:
        psnr_db: mean over frames, each capped at ``PSNR_CAP_DB``.
        ssim: mean over frames.
        epe_px: mean over all valid pixels of all frames, so that a frame with few of them counts little.
        iou: summed intersections of all frames over their summed unions.
        iou_frame_mean: mean of the frames' IoU. The talk that ``mostnet.model`` follows does not say which it reports.
        motion_px: mean over frames of the tooth motion's error.
        slope: slope of predicted against true displacement at tooth pixels.
    """

    psnr_db: float | None = None
    ssim: float | None = None
    epe_px: float | None = None
    iou: float | None = None
    iou_frame_mean: float | None = None
    motion_px: float | None = None
    slope: float | None = None


def score_frame(output: Output, labels: LabelledFrame, *, quick: bool = False) -> FrameScore:
    """Measure one frame's outputs; an output that is None is not measured.

    Args:
        quick: leave out SSIM and tooth motion, which take most of the time.

    Raises:
        FrameError: an output and its label differ in shape, or a flow is not finite where it is valid.
    """
    psnr = similarity = errors = masks = motion = None
    if output.enhanced is not None and labels.reference is not None:
        psnr = psnr_db(output.enhanced, labels.reference)
        similarity = None if quick else ssim(output.enhanced, labels.reference)
    if output.mask is not None and labels.mask is not None:
        masks = overlap(output.mask, labels.mask)
    if output.flow is not None and labels.flow is not None and labels.valid is not None:
        errors = flow_error(output.flow, labels.flow, labels.valid)
        if labels.mask is not None and not quick:
            motion = tooth_motion(output.flow, labels.flow, labels.valid, labels.mask)
    return FrameScore(psnr, similarity, errors, masks, motion)


def summarise(frames: Iterable[FrameScore]) -> Scores:
    """The figures of these frames."""
    frames = list(frames)
    flows = [f.flow for f in frames if f.flow is not None]
    overlaps = [f.overlap for f in frames if f.overlap is not None]
    motions = [f.motion for f in frames if f.motion is not None]
    union = sum(o.union for o in overlaps)
    iou = Overlap(sum(o.intersection for o in overlaps), union).iou if overlaps else None
    return Scores(
        psnr_db=_mean([min(f.psnr_db, PSNR_CAP_DB) for f in frames if f.psnr_db is not None]),
        ssim=_mean([f.ssim for f in frames if f.ssim is not None]),
        epe_px=_ratio(sum(f.sum_px for f in flows), sum(f.pixels for f in flows)),
        iou=iou,
        iou_frame_mean=_mean([o.iou for o in overlaps]),
        motion_px=_mean([m.error_px for m in motions]),
        slope=_ratio(sum(m.dot for m in motions), sum(m.square for m in motions)),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > 0 else None
