"""The measures of single frames, and the figures of a split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mostnet.contract import ENHANCED, FLOW, MASK, Frame
from mostnet.contract.metrics import FlowError, Overlap, flow_error, overlap, psnr_db
from mostnet.engine import Output
from mostnet.training.data.dataset import LabelledFrame

from .baselines import best_colours
from .motion import ToothMotion, tooth_motion
from .shade import ShadeErrors, mean_de00, percentile_de00, tooth_shade
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
        fit_db: PSNR of the picture in its best colours, see ``best_colours``.
        shade: of the teeth; None also if none is visible.
        ssim_whole: ``ssim`` with the picture's edges.
    """

    psnr_db: float | None = None
    ssim: float | None = None
    flow: FlowError | None = None
    overlap: Overlap | None = None
    motion: ToothMotion | None = None
    fit_db: float | None = None
    shade: ShadeErrors | None = None
    ssim_whole: float | None = None


@dataclass(frozen=True)
class Scores:
    """Figures of many frames. A figure is None if no frame has its label.

    Attributes:
        psnr_db: mean over frames, each capped at ``PSNR_CAP_DB``.
        fit_db: the same of the pictures in their best colours: how good they are apart from a tint.
        ssim: mean over frames.
        ssim_whole: the same with the edges of the pictures, as torchmetrics counts it.
        shade_mean_de00: CIEDE2000 difference of the shade, mean over the tooth pixels of all frames.
        shade_p95_de00: 95th percentile of the same.
        epe_px: mean over all valid pixels of all frames, so that a frame with few of them counts little.
        iou: summed intersections of all frames over their summed unions.
        iou_frame_mean: mean of the frames' IoU, as the source of the method counts it.
        motion_px: mean over frames of the tooth motion's error.
        slope: slope of predicted against true displacement at tooth pixels.
    """

    psnr_db: float | None = None
    fit_db: float | None = None
    ssim: float | None = None
    ssim_whole: float | None = None
    shade_mean_de00: float | None = None
    shade_p95_de00: float | None = None
    epe_px: float | None = None
    iou: float | None = None
    iou_frame_mean: float | None = None
    motion_px: float | None = None
    slope: float | None = None


def score_frame(output: Output, labels: LabelledFrame, *, quick: bool = False) -> FrameScore:
    """Measure one frame's outputs; an output that it lacks is not measured.

    Args:
        quick: leave out fit, SSIM, shade and tooth motion, which take most of the time.

    Raises:
        FrameError: an output and its label differ in shape, or a flow is not finite where it is valid.
    """
    masks = errors = motion = None
    if MASK in output.names and labels.mask is not None:
        masks = overlap(output.mask, labels.mask)
    if FLOW in output.names and labels.flow is not None and labels.valid is not None:
        errors = flow_error(output.flow, labels.flow, labels.valid)
        if labels.mask is not None and not quick:
            motion = tooth_motion(output.flow, labels.flow, labels.valid, labels.mask, labels.motion)
    picture = output.enhanced if ENHANCED in output.names else None
    return replace(_score_picture(picture, labels, quick), flow=errors, overlap=masks, motion=motion)


def summarise(frames: Iterable[FrameScore]) -> Scores:
    """The figures of these frames."""
    frames = list(frames)
    flows = [f.flow for f in frames if f.flow is not None]
    overlaps = [f.overlap for f in frames if f.overlap is not None]
    motions = [f.motion for f in frames if f.motion is not None]
    shades = [f.shade for f in frames if f.shade is not None]
    union = sum(o.union for o in overlaps)
    iou = Overlap(sum(o.intersection for o in overlaps), union).iou if overlaps else None
    return Scores(
        psnr_db=_mean_db([f.psnr_db for f in frames]),
        fit_db=_mean_db([f.fit_db for f in frames]),
        ssim=_mean([f.ssim for f in frames if f.ssim is not None]),
        ssim_whole=_mean([f.ssim_whole for f in frames if f.ssim_whole is not None]),
        shade_mean_de00=mean_de00(shades),
        shade_p95_de00=percentile_de00(shades, 95),
        epe_px=_ratio(sum(f.sum_px for f in flows), sum(f.pixels for f in flows)),
        iou=iou,
        iou_frame_mean=_mean([o.iou for o in overlaps]),
        motion_px=_mean([m.error_px for m in motions]),
        slope=_ratio(sum(m.dot for m in motions), sum(m.square for m in motions)),
    )


def _score_picture(picture: Frame | None, labels: LabelledFrame, quick: bool) -> FrameScore:
    """The measures of the picture alone."""
    reference = labels.reference
    if picture is None or reference is None:
        return FrameScore()
    score = FrameScore(psnr_db=psnr_db(picture, reference))
    if quick:
        return score
    similarity = ssim(picture, reference)
    return replace(
        score,
        ssim=similarity.inside,
        ssim_whole=similarity.whole,
        fit_db=psnr_db(best_colours(picture, reference), reference),
        shade=None if labels.mask is None else tooth_shade(picture, reference, labels.mask),
    )


def _mean_db(values: Sequence[float | None]) -> float | None:
    return _mean([min(value, PSNR_CAP_DB) for value in values if value is not None])


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > 0 else None
