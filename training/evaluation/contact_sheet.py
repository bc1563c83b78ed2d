"""An evaluation as one picture: the worst, median and best frames, and the warm-up after a reset."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mostnet.contract import ENHANCED, FLOW, FOREGROUND, MASK, Frame, write_bytes
from mostnet.contract.metrics import Mask
from mostnet.contract.terminal import drawn
from mostnet.engine import Output
from mostnet.training.data.dataset import TASKS, LabelledFrame, SequenceFiles
from mostnet.training.extras import load_extra
from mostnet.video import FlowScale, flow_picture

from .evaluate import Evaluation, only_tasks, read_sequence, stream_sequence
from .scores import FrameScore, Scores, summarise
from .streams import InferenceStream

KINDS = ("worst", "median", "best")

#: A picture or None, and the text under it.
Tile = tuple[Frame | None, str]

_TILE_IN, _DPI = 2.6, 110
_COLUMNS = ("input", "enhanced", "reference", "flow", "true flow", "teeth: cyan found,\nred missed, yellow false")
#: BGR of teeth that were found, missed, and found where there are none.
_FOUND, _MISSED, _FALSE = (200, 220, 40), (60, 60, 240), (40, 220, 250)
_TINT = 0.45
_GREY, _NO_LABEL = 220, "no label"
_NOT_TRAINED = "not trained for this"
_INK = {"model": "#4a6fa5", "baseline": "#999999", "oracle": "#d1791e"}
_CURVES: tuple[tuple[str, Callable[[Scores], float | None], tuple[str, ...]], ...] = (
    ("PSNR, dB", lambda scores: scores.psnr_db, ("model", "baseline", "oracle")),
    ("EPE, px", lambda scores: scores.epe_px, ("model", "baseline")),
    ("IoU", lambda scores: scores.iou, ("model", "baseline")),
)


@dataclass(frozen=True)
class Pick:
    """One frame to look at: its kind (``worst``, ``median`` or ``best``) and its place."""

    kind: str
    sequence: int
    frame: int


@dataclass(frozen=True, eq=False)
class Shown:
    """A picked frame with its labels, outputs and scores."""

    pick: Pick
    name: str
    labelled: LabelledFrame
    output: Output
    score: FrameScore
    baseline: FrameScore


def pick_frames(evaluation: Evaluation, *, each: int = 2) -> list[Pick]:
    """Pick up to ``each`` worst, median and best frames, none twice, and from different sequences if possible.

    The first frame of a sequence has no flow to show, so it is picked only if it is the only one.
    """
    ranked: list[tuple[float, int, int]] = []
    for s, sequence in enumerate(evaluation.sequences):
        for t, score in enumerate(sequence.rows.model):
            value = _quality(score)
            if value is not None and (t > 0 or len(sequence.rows.model) == 1):
                ranked.append((value, s, t))
    ranked.sort()
    middle = (len(ranked) - 1) / 2
    by_median = [ranked[i] for i in sorted(range(len(ranked)), key=lambda i: abs(i - middle))]
    picks: list[Pick] = []
    for kind, order in zip(KINDS, (ranked, by_median, ranked[::-1]), strict=True):
        picks += _pick(kind, order, picks, each)
    return picks


def run_picks(
    stream: InferenceStream,
    sequences: Sequence[SequenceFiles],
    evaluation: Evaluation,
    picks: Sequence[Pick],
    *,
    tasks: Sequence[str] = TASKS,
) -> list[Shown]:
    """Run the sequences of the picked frames again, as far as needed, and return the frames in the order of ``picks``.

    Args:
        tasks: the tasks that the model was measured on; its other outputs are left out.

    Raises:
        DatasetError: a file has changed since it was evaluated.
    """
    found: dict[tuple[int, int], Shown] = {}
    for s in sorted({pick.sequence for pick in picks}):
        wanted = {pick.frame: pick for pick in picks if pick.sequence == s}
        rows = evaluation.sequences[s].rows
        frames = read_sequence(sequences[s], frames=max(wanted) + 1)
        for t, (labelled, output) in enumerate(stream_sequence(stream, frames)):
            if t in wanted:
                name, output = sequences[s].name, only_tasks(output, tasks)
                found[s, t] = Shown(wanted[t], name, labelled, output, rows.model[t], rows.baseline[t])
    return [found[pick.sequence, pick.frame] for pick in picks]


def write_sheet(path: Path, shown: Sequence[Shown], evaluation: Evaluation, *, title: str) -> None:
    """Draw the PNG ``path``: the frames, one row each, and the warm-up curves below them."""
    height, width = shown[0].labelled.size_hw
    row_in = _TILE_IN * height / width + 0.35
    # Without pyplot: no window system, no state kept between calls.
    size_in = (_TILE_IN * len(_COLUMNS) + 1.2, row_in * len(shown) + 4.0)
    figure = load_extra("matplotlib.figure").Figure(figsize=size_in, layout="constrained")
    figure.suptitle(drawn(title), fontsize=12)
    parts: Any = figure.subfigures(2, 1, height_ratios=[row_in * len(shown) + 0.4, 3.0])
    above, below = parts
    axes = above.subplots(len(shown), len(_COLUMNS), squeeze=False)
    for row, frame in zip(axes, shown, strict=True):
        _draw_row(row, frame)
    for axis, column in zip(axes[0], _COLUMNS, strict=True):
        axis.set_title(column, fontsize=11)
    below.suptitle("Figures over all sequences, by the number of frames since the state was reset", fontsize=11)
    _draw_warm_up(below.subplots(1, len(_CURVES)), evaluation)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI)
    write_bytes(path, png.getvalue())


def teeth_picture(frame: Frame, mask: Mask, truth: Mask | None) -> Frame:
    """The frame with a tint on teeth: cyan found, red missed, yellow found in error; all cyan without ``truth``."""
    predicted = mask >= FOREGROUND
    true = predicted if truth is None else truth >= FOREGROUND
    picture = frame.astype(np.float32)
    for where, colour in ((predicted & true, _FOUND), (true & ~predicted, _MISSED), (predicted & ~true, _FALSE)):
        picture[where] = (1 - _TINT) * picture[where] + _TINT * np.array(colour, np.float32)
    return np.rint(picture).astype(np.uint8)


def _quality(score: FrameScore) -> float | None:
    """The value that ranks frames, higher is better: PSNR; without it, minus EPE; without both, IoU."""
    if score.psnr_db is not None:
        return score.psnr_db
    if score.flow is not None and score.flow.pixels:
        return -score.flow.sum_px / score.flow.pixels
    return None if score.overlap is None else score.overlap.iou


def _pick(kind: str, order: Sequence[tuple[float, int, int]], taken: Sequence[Pick], each: int) -> list[Pick]:
    free = [(s, t) for _, s, t in order if all((p.sequence, p.frame) != (s, t) for p in taken)]
    chosen: list[tuple[int, int]] = []
    for s, t in free:
        if len(chosen) < each and s not in (other for other, _ in chosen):
            chosen.append((s, t))
    chosen += [place for place in free if place not in chosen][: each - len(chosen)]
    return [Pick(kind, s, t) for s, t in chosen]


def _draw_row(row: Sequence[Any], shown: Shown) -> None:
    tiles = [*_picture_tiles(shown), *_flow_tiles(shown), _teeth_tile(shown)]
    for axis, (picture, text) in zip(row, tiles, strict=True):
        _draw_tile(axis, np.full_like(shown.labelled.input, _GREY) if picture is None else picture, text)
    row[0].set_ylabel(f"{shown.pick.kind}\n{drawn(shown.name[:24])}\nframe {shown.pick.frame}", fontsize=9)


def _picture_tiles(shown: Shown) -> list[Tile]:
    """Input, output, reference."""
    reference = shown.labelled.reference
    enhanced = shown.output.enhanced if ENHANCED in shown.output.names else None
    return [
        (shown.labelled.input, _decibels(shown.baseline)),
        (enhanced, _NOT_TRAINED if enhanced is None else _decibels(shown.score)),
        (reference, _NO_LABEL if reference is None else ""),
    ]


def _flow_tiles(shown: Shown) -> list[Tile]:
    """Flow and true flow, both on the colour scale of the true flow if it is known."""
    found = shown.output.flow if FLOW in shown.output.names else None
    true, score = shown.labelled.flow, shown.score.flow
    tiles: list[Tile] = [(None, _NOT_TRAINED), (None, _NO_LABEL)]
    scale = FlowScale()
    if true is not None and shown.labelled.valid is not None:
        true = np.where(shown.labelled.valid, true, np.float32(np.nan))
        tiles[1] = flow_picture(true, max_px=scale.follow(true)), f"full colour {scale.max_px:.1f} px, black unknown"
    if found is not None:
        error = f"EPE {score.sum_px / score.pixels:.2f} px" if score is not None and score.pixels else ""
        tiles[0] = flow_picture(found, max_px=scale.follow(found) if true is None else scale.max_px), error
    return tiles


def _teeth_tile(shown: Shown) -> Tile:
    score = shown.score.overlap
    if MASK not in shown.output.names:
        return None, _NOT_TRAINED
    text = "no label: cyan predicted" if score is None else f"IoU {score.iou:.3f}"
    return teeth_picture(shown.labelled.input, shown.output.mask, shown.labelled.mask), text


def _draw_tile(axis: Any, picture: Frame, text: str) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.imshow(picture[..., ::-1], interpolation="antialiased")
    axis.set_xlabel(text, fontsize=9, labelpad=2)


def _draw_warm_up(axes: Sequence[Any], evaluation: Evaluation) -> None:
    steps = evaluation.warm_up()
    for axis, (label, figure_of, rows) in zip(axes, _CURVES, strict=True):
        for row in rows:
            values = [figure_of(summarise(getattr(step, row))) for step in steps]
            if any(value is not None for value in values):
                numbers = [np.nan if value is None else value for value in values]
                axis.plot(numbers, color=_INK[row], label=row, marker=".", markersize=4)
        axis.set(xlabel="frames since the reset", ylabel=label)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.ticklabel_format(style="plain", useOffset=False)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)


def _decibels(score: FrameScore) -> str:
    return "" if score.psnr_db is None else f"{score.psnr_db:.1f} dB, SSIM {score.ssim:.3f}"
