"""Stream the sequences of a split through a model, and measure every frame of the model and of the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from mostnet.contract import ENHANCED, FLOW, MASK, DatasetError, Frame, FrameError
from mostnet.contract.arguments import size_text
from mostnet.contract.pictures import check_picture
from mostnet.engine import Output
from mostnet.training.data.dataset import TASKS, LabelledFrame, SequenceFiles, read_labelled_frame
from mostnet.training.data.flow_files import flo_size, npy_size
from mostnet.training.data.oddities import say_masks

from .baselines import dis_flow, no_method, oracle_colour
from .rows import RowScores
from .scores import FrameScore, score_frame
from .streams import InferenceStream, ModelInfo


@dataclass(frozen=True)
class SequenceScores:
    """One sequence.

    Attributes:
        name: its folder.
        rows: its frames.
        healed: number of frames in which the network replaced values that were not finite, clean input included.
        model_ms: time in the model, over all frames; clean input not included.
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
        return RowScores.joined([sequence.rows for sequence in self.sequences])

    @property
    def fps(self) -> float:
        """Frames per second of the model alone."""
        return len(self.rows.model) * 1e3 / sum(sequence.model_ms for sequence in self.sequences)

    def warm_up(self) -> list[RowScores]:
        """Scores by number of frames since the reset: the first frame of every sequence, the second, and so on."""
        rows = [sequence.rows for sequence in self.sequences]
        return [RowScores.joined([r.only(t) for r in rows]) for t in range(max(len(r.model) for r in rows))]


@dataclass(frozen=True, eq=False)
class JudgedFrame:
    """A frame with its labels, the outputs of the model, and the scores of both.

    Attributes:
        sequence: the sequence that it is of.
        number: its place there, from 0.
        labelled: the frame and its labels.
        output: outputs of the model for the tasks that it was trained for; borrowed until the next frame.
        score: of the outputs.
        baseline: of the input frame as it is.
    """

    sequence: SequenceFiles
    number: int
    labelled: LabelledFrame
    output: Output
    score: FrameScore
    baseline: FrameScore


def evaluate_stream(
    stream: InferenceStream,
    sequences: Sequence[SequenceFiles],
    *,
    frames: int | None = None,
    tasks: Sequence[str] = TASKS,
    progress: Callable[[int], None] | None = None,
    watch: Callable[[JudgedFrame], None] | None = None,
) -> Evaluation:
    """Measure a model on sequences. Its state is zero at the start of each and carried from frame to frame.

    A sequence with reference frames runs a second time, with these as the input: the right answer to a clean picture is
    that picture.

    Args:
        stream: the model.
        sequences: at least one, from ``open_split``; see ``check_sizes``.
        frames: number of frames to take from the start of each; None for all.
        tasks: the tasks to measure the model on, of ``enhance``, ``flow`` and ``mask``.
        progress: called with the number of frames that are done, of ``frames_to_run``.
        watch: called with each frame after its measurement, the runs on clean input left out.

    Raises:
        DatasetError: a file is damaged, or of another size than the rest of its sequence. A split that was read only in
            part gets no figures.
        FrameError: the model does not take frames of this size, or a flow is not finite.
    """
    done = count(1)

    def tick() -> None:
        if progress is not None:
            progress(next(done))

    return Evaluation(tuple(_evaluate_sequence(stream, sequence, frames, tasks, tick, watch) for sequence in sequences))


def frames_to_run(sequences: Sequence[SequenceFiles], frames: int | None = None) -> int:
    """Number of frames that ``evaluate_stream`` gives the model: those with a reference count twice."""
    return sum(min(len(s), frames or len(s)) * (2 if "reference" in s.labels else 1) for s in sequences)


def check_files(sequences: Sequence[SequenceFiles], frames: int | None = None) -> None:
    """Look at the first bytes of every file that ``evaluate_stream`` reads: a bad one would end a long measurement.

    Warnings are those of ``say_masks``.

    Raises:
        DatasetError: a file cannot be read, or is neither a picture nor flow.
    """
    masks: list[Path] = []
    for sequence in sequences:
        masks += [path for path in sequence.labels.get("mask", ())[:frames] if path is not None]
        for files in (sequence.input, *sequence.labels.values()):
            for path in filter(None, files[:frames]):
                checks = {".npy": npy_size, ".flo": flo_size}
                checks.get(path.suffix.lower(), check_picture)(path)
    say_masks(str(sequences[0].folder.parent), masks)


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
                f"{height}x{width}; export one that fits: mostnet-export CKPT.pt --size {size_text((height, width))}"
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
    made = {"enhance": ENHANCED, "flow": FLOW, "mask": MASK}
    return output.replace(**{made[task]: None for task in TASKS if task not in tasks})


def _evaluate_sequence(
    stream: InferenceStream,
    sequence: SequenceFiles,
    frames: int | None,
    tasks: Sequence[str],
    tick: Callable[[], None],
    watch: Callable[[JudgedFrame], None] | None,
) -> SequenceScores:
    rows: list[tuple[FrameScore, ...]] = []
    healed, model_ms, previous = 0, 0.0, None
    for labelled, output in stream_sequence(stream, read_sequence(sequence, frames=frames)):
        healed += not output.finite
        model_ms += output.latency_ms
        output = only_tasks(output, tasks)
        score = score_frame(output, labelled)
        rows.append((*_score_baselines(labelled, previous), score))
        if watch is not None:
            watch(JudgedFrame(sequence, len(rows) - 1, labelled, output, score, rows[-1][0]))
        previous = labelled.input
        tick()
    baseline, oracle, dis, model = zip(*rows, strict=True)
    clean = [FrameScore()] * len(rows)
    if "reference" in sequence.labels:
        clean, healed_clean = _evaluate_clean(stream, sequence, frames, tasks, tick)
        healed += healed_clean
    scores = RowScores(baseline, oracle, dis, model, tuple(clean))
    return SequenceScores(sequence.name, scores, healed, model_ms)


def _score_baselines(labelled: LabelledFrame, previous: Frame | None) -> tuple[FrameScore, FrameScore, FrameScore]:
    """Scores of no method, the oracle colour and DIS; ``previous`` is the input frame before."""
    baseline, oracle, dis = score_frame(no_method(labelled.input), labelled), FrameScore(), FrameScore()
    if labelled.reference is not None:
        oracle = score_frame(oracle_colour(labelled.input, labelled.reference), labelled)
    if labelled.flow is not None and previous is not None:
        dis = score_frame(dis_flow(labelled.input, previous), labelled)
    return baseline, oracle, dis


def _evaluate_clean(
    stream: InferenceStream,
    sequence: SequenceFiles,
    frames: int | None,
    tasks: Sequence[str],
    tick: Callable[[], None],
) -> tuple[list[FrameScore], int]:
    """Scores of the model with the reference frames as its input, and the number of healed frames."""
    scores, healed = [], 0
    for labelled, output in stream_sequence(stream, _clean(read_sequence(sequence, frames=frames))):
        healed += not output.finite
        scores.append(score_frame(only_tasks(output, tasks), labelled))
        tick()
    return scores, healed


def _clean(frames: Iterable[LabelledFrame]) -> Iterator[LabelledFrame]:
    for labelled in frames:
        assert labelled.reference is not None
        yield replace(labelled, input=labelled.reference)
