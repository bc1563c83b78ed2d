"""Stream the sequences of a split through a model and measure every frame, beside the rows that need no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from mostnet.contract import DatasetError, FrameError
from mostnet.engine import Output
from mostnet.training.data.dataset import LabelledFrame, SequenceFiles, read_labelled_frame
from mostnet.training.losses import TASKS

from .baselines import no_method, oracle_colour
from .scores import FrameScore, Scores, score_frame, summarise
from .streams import ModelInfo, Stream


@dataclass(frozen=True)
class RowScores:
    """The frames of one sequence, or of several, under each row of the table: the same frames in the same order."""

    baseline: tuple[FrameScore, ...]
    oracle: tuple[FrameScore, ...]
    model: tuple[FrameScore, ...]

    def summary(self) -> dict[str, Scores]:
        """The figures of each row, by its name."""
        return {
            "baseline": summarise(self.baseline),
            "oracle colour": summarise(self.oracle),
            "model": summarise(self.model),
        }

    def only(self, index: int) -> RowScores:
        """Frame ``index`` alone; nothing where there are fewer frames."""
        part = slice(index, index + 1)
        return RowScores(self.baseline[part], self.oracle[part], self.model[part])


@dataclass(frozen=True)
class SequenceScores:
    """One sequence.

    Attributes:
        name: its folder.
        rows: its frames.
        healed: frames that the network itself called not finite.
        model_ms: time in the model, over all frames.
    """

    name: str
    rows: RowScores
    healed: int
    model_ms: float


@dataclass(frozen=True)
class Evaluation:
    """All sequences of one evaluation."""

    sequences: tuple[SequenceScores, ...]

    @property
    def rows(self) -> RowScores:
        """All frames of all sequences."""
        return _joined([sequence.rows for sequence in self.sequences])

    @property
    def fps(self) -> float:
        """Frames per second of the model alone."""
        return len(self.rows.model) * 1e3 / sum(sequence.model_ms for sequence in self.sequences)

    def warm_up(self) -> list[RowScores]:
        """The frames of every sequence that were the first after the reset, the second, and so on."""
        rows = [sequence.rows for sequence in self.sequences]
        return [_joined([r.only(t) for r in rows]) for t in range(max(len(r.model) for r in rows))]


def evaluate(
    stream: Stream,
    sequences: Sequence[SequenceFiles],
    *,
    frames: int | None = None,
    tasks: Sequence[str] = TASKS,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Measure a model on sequences, its state carried from frame to frame and zero at the start of each.

    Args:
        stream: the model.
        sequences: what ``index_split`` found, at least one; see ``check_sizes``.
        frames: only the first so many of each.
        tasks: those to measure the model by, of ``enhance``, ``flow`` and ``mask``.
        progress: told how many frames are done.

    Raises:
        DatasetError: a file is damaged, or of another size than the rest of its sequence: there are no figures of half
            a split.
        FrameError: a frame that the model does not take, or a flow that is not finite.
    """
    evaluated: list[SequenceScores] = []
    for sequence in sequences:
        done = sum(len(s.rows.model) for s in evaluated)
        evaluated.append(_evaluate_sequence(stream, sequence, frames, tasks, progress, done))
    return Evaluation(tuple(evaluated))


def check_sizes(sequences: Sequence[SequenceFiles], info: ModelInfo) -> None:
    """Find out before anything is measured that a model of one frame size does not fit the data.

    Raises:
        FrameError: a sequence has another size.
    """
    if info.size_hw is None:
        return
    for sequence in sequences:
        height, width = read_labelled_frame(sequence, 0).size_hw
        if (height, width) != info.size_hw:
            raise FrameError(
                f"{info.file} takes frames of {info.size_hw[0]}x{info.size_hw[1]}, but sequence {sequence.name} has "
                f"{height}x{width}; export one that fits: mostnet-export CKPT.pt --size {height}x{width}"
            )


def read_sequence(sequence: SequenceFiles, *, frames: int | None = None) -> Iterator[LabelledFrame]:
    """The first ``frames`` frames, or all; the first of them without flow, which has no previous frame to go to.

    Raises:
        DatasetError: a file is damaged, or of another size than the first frame.
    """
    size_hw = None
    for i in range(len(sequence) if frames is None else min(frames, len(sequence))):
        labelled = read_labelled_frame(sequence, i)
        size_hw = size_hw or labelled.size_hw
        if labelled.size_hw != size_hw:
            raise DatasetError(
                f"{sequence.input[i]}: is {labelled.size_hw[0]}x{labelled.size_hw[1]}, the first frame of its sequence "
                f"is {size_hw[0]}x{size_hw[1]}; make all frames of a sequence one size"
            )
        yield replace(labelled, flow=None, valid=None) if i == 0 else labelled


def only_tasks(output: Output, tasks: Sequence[str]) -> Output:
    """The output without what the network was not trained for."""
    return replace(
        output,
        enhanced=output.enhanced if "enhance" in tasks else None,
        flow=output.flow if "flow" in tasks else None,
        mask=output.mask if "mask" in tasks else None,
    )


def _evaluate_sequence(
    stream: Stream,
    sequence: SequenceFiles,
    frames: int | None,
    tasks: Sequence[str],
    progress: Callable[[int], None] | None,
    done: int,
) -> SequenceScores:
    stream.reset()
    rows: list[tuple[FrameScore, FrameScore, FrameScore]] = []
    healed, model_ms = 0, 0.0
    for labelled in read_sequence(sequence, frames=frames):
        output = stream.infer(labelled.input)
        healed += not output.finite
        model_ms += output.latency_ms
        baseline = score_frame(no_method(labelled.input), labelled)
        oracle = FrameScore()
        if labelled.reference is not None:
            oracle = score_frame(oracle_colour(labelled.input, labelled.reference), labelled)
        rows.append((baseline, oracle, score_frame(only_tasks(output, tasks), labelled)))
        if progress is not None:
            progress(done + len(rows))
    return SequenceScores(sequence.name, RowScores(*zip(*rows, strict=True)), healed, model_ms)


def _joined(rows: Sequence[RowScores]) -> RowScores:
    return RowScores(
        tuple(chain.from_iterable(r.baseline for r in rows)),
        tuple(chain.from_iterable(r.oracle for r in rows)),
        tuple(chain.from_iterable(r.model for r in rows)),
    )
