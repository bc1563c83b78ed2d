"""Which frames of an evaluation to look at, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mostnet.engine import Output
from mostnet.training.data.dataset import LabelledFrame, SequenceFiles
from mostnet.training.losses import TASKS

from .evaluate import Evaluation, only_tasks, read_sequence
from .scores import FrameScore
from .streams import Stream

KINDS = ("worst", "median", "best")


@dataclass(frozen=True)
class Pick:
    """One frame to look at: ``worst``, ``median`` or ``best``, and where it is."""

    kind: str
    sequence: int
    frame: int


@dataclass(frozen=True, eq=False)
class Shown:
    """A picked frame with its labels, outputs and figures."""

    pick: Pick
    name: str
    labelled: LabelledFrame
    output: Output
    score: FrameScore
    baseline: FrameScore


def quality(score: FrameScore) -> float | None:
    """What frames are ranked by, more is better: PSNR, else EPE, else IoU, by the labels that there are."""
    if score.psnr_db is not None:
        return score.psnr_db
    if score.flow is not None and score.flow.pixels:
        return -score.flow.sum_px / score.flow.pixels
    return None if score.overlap is None else score.overlap.iou


def pick_frames(evaluation: Evaluation, *, each: int = 2) -> list[Pick]:
    """Up to ``each`` worst, median and best frames, no frame twice, of different sequences where there are enough.

    The first frame of a sequence is left out where there are others: it has no flow to show.
    """
    ranked: list[tuple[float, int, int]] = []
    for s, sequence in enumerate(evaluation.sequences):
        for t, score in enumerate(sequence.rows.model):
            value = quality(score)
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
    stream: Stream,
    sequences: Sequence[SequenceFiles],
    evaluation: Evaluation,
    picks: Sequence[Pick],
    *,
    tasks: Sequence[str] = TASKS,
) -> list[Shown]:
    """The pictures of the picked frames, in their order: their sequences are run again, as far as needed.

    ``tasks`` are those that the model was measured by; the outputs of others are left out.

    Raises:
        DatasetError: a file has changed since it was evaluated.
    """
    found: dict[tuple[int, int], Shown] = {}
    for s in sorted({pick.sequence for pick in picks}):
        wanted = {pick.frame: pick for pick in picks if pick.sequence == s}
        rows = evaluation.sequences[s].rows
        stream.reset()
        for t, labelled in enumerate(read_sequence(sequences[s], frames=max(wanted) + 1)):
            output = only_tasks(stream.infer(labelled.input), tasks)
            if t in wanted:
                name = sequences[s].name
                found[s, t] = Shown(wanted[t], name, labelled, output, rows.model[t], rows.baseline[t])
    return [found[pick.sequence, pick.frame] for pick in picks]


def _pick(kind: str, order: Sequence[tuple[float, int, int]], taken: Sequence[Pick], each: int) -> list[Pick]:
    free = [(s, t) for _, s, t in order if all((p.sequence, p.frame) != (s, t) for p in taken)]
    chosen: list[tuple[int, int]] = []
    for s, t in free:
        if len(chosen) < each and s not in (other for other, _ in chosen):
            chosen.append((s, t))
    chosen += [place for place in free if place not in chosen][: each - len(chosen)]
    return [Pick(kind, s, t) for s, t in chosen]
