"""Validation while training: some sequences of a split, streamed with carried state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mostnet.contract import DatasetError, atomic_path, check_size
from mostnet.contract.metrics import FlowError, Overlap, Picture, flow_error, overlap, psnr_db
from mostnet.model import MostNet, Prediction, State
from mostnet.training.evaluation.scores import PSNR_CAP_DB
from mostnet.video.flow_colour import flow_picture

from .ablations import Stepper
from .clips import FrameSource
from .dataset import LabelledFrame

_GREY = 96


@dataclass
class Sums:
    """What is added up over the frames of a validation."""

    psnr_db: list[float] = field(default_factory=list)
    flow: list[FlowError] = field(default_factory=list)
    overlap: list[Overlap] = field(default_factory=list)

    def figures(self, tasks: Sequence[str]) -> dict[str, float | None]:
        """Mean PSNR over frames, EPE and IoU over all pixels; None where there was no label or the task is not trained.

        ``score`` is PSNR in dB, less EPE in pixels, plus ten times IoU: of what there is.
        """
        pixels = sum(error.pixels for error in self.flow)
        union = sum(overlap.union for overlap in self.overlap)
        psnr = float(np.mean(self.psnr_db)) if self.psnr_db and "enhance" in tasks else None
        epe = sum(error.sum_px for error in self.flow) / pixels if pixels and "flow" in tasks else None
        iou = sum(overlap.intersection for overlap in self.overlap) / union if union and "mask" in tasks else None
        score = (psnr or 0.0) - (epe or 0.0) + 10 * (iou or 0.0)
        return {"psnr_db": psnr, "epe_px": epe, "iou": iou, "score": score}


@torch.no_grad()
def validate(
    model: MostNet,
    source: FrameSource,
    *,
    frames: int,
    tasks: Sequence[str],
    recurrence: bool = True,
    samples: Path | None = None,
) -> dict[str, float | None]:
    """Stream up to ``frames`` frames of every sequence of ``source``; returns ``Sums.figures``.

    Args:
        samples: where a picture of the last frame of each sequence is written.

    Raises:
        FrameError: frames too small for the network, or a flow that is not finite.
    """
    step, sums = Stepper(model, recurrence=recurrence), Sums()
    rows: list[Picture] = []
    for s, sequence in enumerate(source.sequences):
        state: State | None = None
        shown: Picture | None = None
        for t in range(min(frames, len(sequence))):
            try:
                frame = source.read(s, t)
            except DatasetError:
                state = None  # noted by the source; what follows starts without history
                continue
            prediction, state = step(_as_input(frame, model), state)
            sums_of_frame(sums, frame, prediction, has_previous=t > 0)
            if t == min(frames, len(sequence)) - 1:
                shown = sample_row(frame, prediction)
        rows += [] if shown is None else [shown]
    if samples is not None and rows:
        _write_samples(rows, samples)
    return sums.figures(tasks)


def sums_of_frame(sums: Sums, frame: LabelledFrame, prediction: Prediction, *, has_previous: bool) -> None:
    """Add one frame's errors."""
    if frame.reference is not None:
        sums.psnr_db.append(min(PSNR_CAP_DB, psnr_db(enhanced_picture(prediction), frame.reference)))
    if frame.flow is not None and frame.valid is not None and has_previous:
        flow = prediction.flow[0].float().cpu().numpy()
        sums.flow.append(flow_error(flow, frame.flow.astype(np.float32), frame.valid))
    if frame.mask is not None:
        probability = torch.sigmoid(prediction.mask_logit[0, 0].float()).cpu().numpy()
        sums.overlap.append(overlap(np.rint(probability * 255).astype(np.uint8), frame.mask))


def enhanced_picture(prediction: Prediction) -> Picture:
    """The first enhanced frame of a prediction as uint8 ``(H, W, 3)`` BGR."""
    picture = torch.round(prediction.enhanced[0].float().clamp(0, 1) * 255).to(torch.uint8)
    return picture.permute(1, 2, 0).cpu().numpy()


def sample_row(frame: LabelledFrame, prediction: Prediction) -> Picture:
    """Input, enhanced, reference, flow found and true, mask found and true, side by side; grey where there is none."""
    found = prediction.flow[0].float().cpu().numpy()
    none: Picture = np.full_like(frame.input, _GREY)
    true = None if frame.flow is None else frame.flow.astype(np.float32)
    dx, dy = found if true is None else true
    lengths = np.hypot(dx, dy)
    most = max(2.0, float(np.percentile(lengths, 99)))
    probability = torch.sigmoid(prediction.mask_logit[0, 0].float()).cpu().numpy()
    parts = [
        frame.input,
        enhanced_picture(prediction),
        none if frame.reference is None else frame.reference,
        flow_picture(found, max_px=most),
        none if true is None else flow_picture(true, max_px=most),
        _grey_picture(np.rint(probability * 255).astype(np.uint8)),
        none if frame.mask is None else _grey_picture(frame.mask),
    ]
    return np.concatenate(parts, axis=1)


def _as_input(frame: LabelledFrame, model: MostNet) -> torch.Tensor:
    check_size(frame.size_hw)
    weight = next(model.parameters())
    return torch.from_numpy(frame.input).to(weight.device).permute(2, 0, 1)[None].to(weight.dtype) / 255


def _grey_picture(mask: npt.NDArray[np.uint8]) -> Picture:
    return np.repeat(mask[..., None], 3, axis=2)


def _write_samples(rows: list[Picture], path: Path) -> None:
    width = min(row.shape[1] for row in rows)
    sheet = np.concatenate(
        [cv2.resize(row, (width, round(row.shape[0] * width / row.shape[1]))) for row in rows], axis=0
    )
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), sheet):
            raise OSError(f"{path}: the picture could not be written")
