"""Rank the convolutions by the accuracy that INT8 costs, and find how many must stay float to keep the bounds."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnx
from rich.console import Console

from mostnet.calibration import CalibrationData, quantise, quantise_states
from mostnet.contract import CalibrationError, Frame, staging_folder
from mostnet.engine import Engine
from mostnet.model import StreamOutput
from mostnet.model.table1 import AnyCheckpoint

from .accuracy import BOUNDS, Bounds, FrameAccuracy, mean, worst
from .graph import save_graph
from .progress import show_step
from .verification import frame_accuracy, reference_stream

#: Bounds for the calibration frames: tighter than for an export, because frames with more motion have larger errors.
_SHARE = 0.4
_GOAL = Bounds(
    psnr_db=BOUNDS["int8"].psnr_db + 1.0,
    epe_px=_SHARE * BOUNDS["int8"].epe_px,
    iou=1 - _SHARE * (1 - BOUNDS["int8"].iou),
)
#: Frames of one run. All but the first have a previous frame.
_RUN = 4


@dataclass(frozen=True)
class LayerError:
    """The error of the outputs with one convolution in INT8, on average over the frames.

    Attributes:
        module: path of the convolution.
        psnr_db, epe_px, iou: of enhanced picture, flow and mask, against float32 PyTorch.
        share: the largest of the three errors, each as a share of the error that its bound allows.
    """

    module: str
    psnr_db: float
    epe_px: float
    iou: float
    share: float


@dataclass(frozen=True)
class BudgetAttempt:
    """The worst frame of a graph in which the ``put_back`` worst convolutions stay float."""

    put_back: int
    psnr_db: float
    epe_px: float
    iou: float
    holds: bool


@dataclass(frozen=True)
class Choice:
    """The convolutions that stay float, and why.

    Attributes:
        put_back: their module paths, worst first.
        errors: of every convolution, worst first.
        unquantised: error of the graph with none of them in INT8. Each of ``errors`` contains it.
        attempts: in the order in which they were tried.
        frames: number of frames of every measurement.
        int8_states: names of the states that were INT8 in every measurement, ``unquantised`` included.
    """

    put_back: tuple[str, ...]
    errors: tuple[LayerError, ...]
    unquantised: LayerError
    attempts: tuple[BudgetAttempt, ...]
    frames: int
    int8_states: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judge:
    """Compares graphs with float32 PyTorch on the same frames; PyTorch runs once.

    Attributes:
        checkpoint: the network.
        graph: the float graph.
        thresholds: of the convolutions, by module path.
        states: thresholds of the states that are INT8 in every judged graph, by name.
        data: calibration data.
        wanted_frames: about how many frames of ``data`` to judge on.
    """

    checkpoint: AnyCheckpoint
    graph: onnx.ModelProto
    thresholds: Mapping[str, float]
    states: Mapping[str, float]
    data: CalibrationData
    wanted_frames: int

    @cached_property
    def _sequences(self) -> list[list[tuple[Frame, StreamOutput]]]:
        return [list(reference_stream(self.checkpoint, run)) for run in runs_of(self.data, self.wanted_frames)]

    @property
    def frames(self) -> int:
        """Number of frames that every graph is judged on."""
        return sum(map(len, self._sequences))

    def accuracy(self, int8: Collection[str]) -> list[FrameAccuracy]:
        """Accuracy of every frame with these convolutions in INT8."""
        chosen = {name: self.thresholds[name] for name in int8}
        graph = quantise(self.graph, chosen) if chosen else self.graph
        found = []
        with staging_folder(Path(tempfile.gettempdir())) as folder:
            path = folder / "candidate.onnx"
            save_graph(quantise_states(graph, self.states), path)
            with Engine(path, provider="cpu") as engine:
                for sequence in self._sequences:
                    engine.reset()
                    found += [frame_accuracy(engine.infer(frame), wanted) for frame, wanted in sequence]
        return found


def choose_layers(judge: Judge, console: Console) -> Choice:
    """Rank the convolutions, then put the worst back to float until every frame is within the goal.

    Raises:
        CalibrationError: the goal does not hold even with one convolution in INT8.
    """
    errors = []
    unquantised = _layer_error("none", judge.accuracy(()))
    with show_step(console, "sensitivity") as step:
        for i, name in enumerate(judge.thresholds):
            errors.append(_layer_error(name, judge.accuracy({name})))
            step.update(i + 1, len(judge.thresholds))
    errors.sort(key=lambda error: -error.share)
    order = [error.module for error in errors]
    with show_step(console, "accuracy budget"):
        attempts = bisect(judge, order)
    held = [attempt.put_back for attempt in attempts if attempt.holds]
    if not held:
        best = attempts[-1]
        raise CalibrationError(
            "the accuracy budget does not hold with even one INT8 convolution: "
            f"{best.psnr_db:.1f} dB, {best.epe_px:.3f} px, IoU {best.iou:.4f}; export with --fp16"
            + (", or without --int8-state" if judge.states else "")
        )
    states = tuple(judge.states)
    return Choice(tuple(order[: min(held)]), tuple(errors), unquantised, tuple(attempts), judge.frames, states)


def runs_of(data: CalibrationData, frames: int) -> list[list[Frame]]:
    """About ``frames`` frames of the data, in evenly spaced runs of four, with little and with much motion.

    Each run starts from an empty state. It is shorter if fewer frames are asked for, or if its sequence ends.
    """
    length = min(_RUN, max(2, frames))
    places = [  # in a separate pass, because the data may not fit in memory
        (number, start)
        for number, sequence in enumerate(data.sequences())
        for start in range(0, max(1, sum(1 for _ in sequence) - 1), length)
    ]
    count = min(len(places), max(1, frames // length))
    chosen = {places[i * len(places) // count] for i in range(count)}
    runs: list[list[Frame]] = []
    for number, sequence in enumerate(data.sequences()):
        for i, frame in enumerate(sequence):
            if (number, i - i % length) in chosen:
                if i % length == 0:
                    runs.append([])
                runs[-1].append(frame)
    return runs


def _layer_error(name: str, frames: Sequence[FrameAccuracy]) -> LayerError:
    found, bounds = mean(frames), BOUNDS["int8"]
    shares = (
        10 ** ((bounds.psnr_db - found.psnr_db) / 10),
        found.epe_px / bounds.epe_px,
        (1 - found.iou) / (1 - bounds.iou),
    )
    return LayerError(name, found.psnr_db, found.epe_px, found.iou, max(shares))


def bisect(judge: Judge, order: list[str]) -> list[BudgetAttempt]:
    """Put more or fewer of the worst convolutions back, until the smallest number that holds is known."""
    attempts = [_attempt(judge, order, 0)]
    low, high = 0, len(order)  # low fails; with high nothing would be INT8
    while not attempts[0].holds and high - low > 1:
        middle = (low + high) // 2
        attempts.append(_attempt(judge, order, middle))
        low, high = (low, middle) if attempts[-1].holds else (middle, high)
    return attempts


def _attempt(judge: Judge, order: list[str], put_back: int) -> BudgetAttempt:
    frames = judge.accuracy(order[put_back:])
    found = worst(frames)
    return BudgetAttempt(put_back, found.psnr_db, found.epe_px, found.iou, all(frame.keeps(_GOAL) for frame in frames))
