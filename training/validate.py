"""Validation during training: some sequences of a split, streamed with carried state."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from mostnet.contract import DatasetError, Frame, write_bytes
from mostnet.contract.metrics import Mask
from mostnet.contract.terminal import one_line
from mostnet.engine import Output
from mostnet.model import State
from mostnet.training.data.dataset import LabelledFrame
from mostnet.training.data.frame_source import FrameSource
from mostnet.training.evaluation.evaluate import only_tasks, stream_sequence
from mostnet.training.evaluation.judged_video import titled
from mostnet.training.evaluation.scores import FrameScore, score_frame, summarise
from mostnet.video.flow_colour import flow_picture

from .ablations import Stepper
from .networks import Network


class TrainingStream:
    """Runs the network in training frame by frame. Unlike ``FrameModel``, it keeps NaN and infinite values."""

    def __init__(self, model: Network, *, recurrence: bool) -> None:
        self._step = Stepper(model, recurrence=recurrence)
        self._weight = next(model.parameters())
        self._state: State | None = None

    def reset(self) -> None:
        """Start a new sequence with the next frame."""
        self._state = None

    @torch.no_grad()
    def infer(self, frame: Frame) -> Output:
        """Outputs of the next frame, uint8 ``(H, W, 3)`` BGR; the latency is not measured.

        Raises:
            FrameError: the frame is too small for the network.
        """
        weight = self._weight
        tensor = torch.from_numpy(frame).to(weight.device).permute(2, 0, 1)[None].to(weight.dtype) / 255
        prediction, self._state = self._step(tensor, self._state)
        picture = torch.round(prediction.enhanced[0].float().clamp(0, 1) * 255).to(torch.uint8)
        flow = prediction.flow[0].float().cpu().numpy()
        probability = torch.sigmoid(prediction.mask_logit[0, 0].float()).cpu().numpy()
        return Output(
            enhanced=picture.permute(1, 2, 0).cpu().numpy(),
            flow=flow,
            mask=np.rint(probability * 255).astype(np.uint8),
            finite=bool(np.isfinite(flow).all()),
            frame_id=0,
            timestamp=None,
            latency_ms=0.0,
        )


def validate(
    model: Network,
    source: FrameSource,
    *,
    frames: int,
    tasks: Sequence[str],
    recurrence: bool = True,
    samples: Path | None = None,
) -> dict[str, float | None]:
    """Stream up to ``frames`` frames of every sequence of ``source``; returns ``figures``.

    Args:
        samples: file for a picture of the last frame of each sequence, with titles.

    Raises:
        FrameError: frames too small for the network, or a flow that is not finite.
    """
    stream = TrainingStream(model, recurrence=recurrence)
    scores: list[FrameScore] = []
    rows: list[Frame] = []
    for s, sequence in enumerate(source.sequences):
        newest: deque[LabelledFrame | None] = deque(maxlen=1)
        for frame, output in stream_sequence(stream, _read(source, s, min(frames, len(sequence)), newest)):
            scores.append(score_frame(only_tasks(output, tasks), frame, quick=True))
        if newest[0] is not None:
            rows.append(sample_row(newest[0], output, name=sequence.name))
    if samples is not None and rows:
        _write_samples(rows, samples)
    return figures(scores)


def figures(scores: Sequence[FrameScore]) -> dict[str, float | None]:
    """Mean PSNR over frames, and EPE and IoU over all pixels.

    A figure is None if its label is missing, if no mask has a tooth pixel, or if its task is not trained. ``score`` is
    PSNR in dB minus EPE in pixels plus ten times IoU, where None counts as zero.
    """
    found = summarise(scores)
    iou = found.iou if any(score.overlap is not None and score.overlap.union for score in scores) else None
    total = (found.psnr_db or 0.0) - (found.epe_px or 0.0) + 10 * (iou or 0.0)
    return {"psnr_db": found.psnr_db, "epe_px": found.epe_px, "iou": iou, "score": total}


def sample_row(frame: LabelledFrame, output: Output, *, name: str) -> Frame:
    """Input, enhanced, reference, found and true flow, found and true mask, side by side under their titles.

    Args:
        name: of the sequence, for the title of the input.
    """
    true, lengths = None, np.hypot(*output.flow)
    if frame.flow is not None and frame.valid is not None:
        lengths = np.hypot(*frame.flow)
        true = np.where(frame.valid, frame.flow, np.float32(np.nan))
    most = max(2.0, float(np.percentile(lengths, 99)))
    tiles = {
        f"input of {one_line(name)}": frame.input,
        "enhanced": output.enhanced,
        "reference": frame.reference,
        f"flow, full colour {most:.1f} px": flow_picture(output.flow, max_px=most),
        "true flow, black unknown": None if true is None else flow_picture(true, max_px=most),
        "mask": _grey_picture(output.mask),
        "true mask": None if frame.mask is None else _grey_picture(frame.mask),
    }
    return np.hstack([titled(picture, title, frame.size_hw) for title, picture in tiles.items()])


def _read(
    source: FrameSource, sequence: int, count: int, newest: deque[LabelledFrame | None]
) -> Iterator[LabelledFrame | None]:
    """Yield the first ``count`` frames, each also put into ``newest``; None for a frame that cannot be read."""
    for index in range(count):
        try:
            newest.append(source.read(sequence, index))
        except DatasetError:  # the source has logged it
            newest.append(None)
        yield newest[-1]


def _grey_picture(mask: Mask) -> Frame:
    return np.repeat(mask[..., None], 3, axis=2)


def _write_samples(rows: list[Frame], path: Path) -> None:
    width = min(row.shape[1] for row in rows)
    sheet = np.concatenate(
        [cv2.resize(row, (width, round(row.shape[0] * width / row.shape[1]))) for row in rows], axis=0
    )
    write_bytes(path, cv2.imencode(".png", sheet)[1].tobytes())  # cv2.imwrite cannot take every name
