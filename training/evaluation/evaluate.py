"""Stream the sequences of a split through a model, and measure every frame of the model and of the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from mostnet.contract import DatasetError, FrameError
from mostnet.engine import Output
from mostnet.training.data.dataset import TASKS, LabelledFrame, SequenceFiles, read_labelled_frame

from .baselines import no_method, oracle_colour
from .scores import FrameScore, Scores, score_frame, summarise
from .streams import InferenceStream, ModelInfo


@dataclass(frozen=True)
class RowScores:
    """Scores for each row of the table, over the same frames of one or more sequences in the same order."""

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
        """Frame ``index`` alone; empty if there are fewer frames."""
        part = slice(index, index + 1)
        return RowScores(self.baseline[part], self.oracle[part], self.model[part])


@dataclass(frozen=True)
class SequenceScores:
    """One sequence.

    Attributes:
        name: its folder.
        rows: its frames.
        healed: number of frames in which the network replaced values that were not finite.
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
        """Scores by number of frames since the reset: the first frame of every sequence, the second, and so on."""
        rows = [sequence.rows for sequence in self.sequences]
        return [_joined([r.only(t) for r in rows]) for t in range(max(len(r.model) for r in rows))]


def evaluate(
    stream: InferenceStream,
    sequences: Sequence[SequenceFiles],
    *,
    frames: int | None = None,
    tasks: Sequence[str] = TASKS,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Measure a model on sequences. Its state is zero at the start of each and carried from frame to frame.

    Args:
        stream: the model.
        sequences: at least one, from ``index_split``; see ``check_sizes``.
        frames: number of frames to take from the start of each; None for all.
        tasks: the tasks to measure the model on, of ``enhance``, ``flow`` and ``mask``.
        progress: called with the number of frames that are done.

    Raises:
        DatasetError: a file is damaged, or of another size than the rest of its sequence. A split that was read only in
            part gets no figures.
        FrameError: the model does not take frames of this size, or a flow is not finite.
    """
    evaluated: list[SequenceScores] = []
    for sequence in sequences:
        done = sum(len(s.rows.model) for s in evaluated)
        evaluated.append(_evaluate_sequence(stream, sequence, frames, tasks, progress, done))
    return Evaluation(tuple(evaluated))


def check_sizes(sequences: Sequence[SequenceFiles], info: ModelInfo) -> None:
    """Check before the measurement that a model of one frame size fits the data.

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
    """Read the first ``frames`` frames of a sequence, or all.

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
        yield labelled


def stream_sequence(
    stream: InferenceStream, frames: Iterable[LabelledFrame | None]
) -> Iterator[tuple[LabelledFrame, Output]]:
    """Run a model over one sequence from zero state, carrying the state; yield each frame with its outputs.

    None stands for a frame that could not be read; the state is zero after it. The first frame comes without its flow
    label, because its previous frame is not in the sequence.
    """
    stream.reset()
    for t, labelled in enumerate(frames):
        if labelled is None:
            stream.reset()
            continue
        output = stream.infer(labelled.input)
        yield labelled if t else replace(labelled, flow=None, valid=None), output


def only_tasks(output: Output, tasks: Sequence[str]) -> Output:
    """The output without the tasks that the network was not trained for."""
    return replace(
        output,
        enhanced=output.enhanced if "enhance" in tasks else None,
        flow=output.flow if "flow" in tasks else None,
        mask=output.mask if "mask" in tasks else None,
    )


def _evaluate_sequence(
    stream: InferenceStream,
    sequence: SequenceFiles,
    frames: int | None,
    tasks: Sequence[str],
    progress: Callable[[int], None] | None,
    done: int,
) -> SequenceScores:
    rows: list[tuple[FrameScore, FrameScore, FrameScore]] = []
    healed, model_ms = 0, 0.0
    for labelled, output in stream_sequence(stream, read_sequence(sequence, frames=frames)):
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
