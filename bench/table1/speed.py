"""The speed of every row side by side: each round runs one frame of every method, in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from mostnet.bench.frames import BenchFrames, synthetic_frames
from mostnet.bench.measure import Loop, time_alternately
from mostnet.contract import BackendNotInstalledError, Frame, NoGpuError
from mostnet.engine import Engine
from mostnet.engine.cuda.driver import require_gpu
from mostnet.export import ExportOptions, export
from mostnet.model.table1 import load_either, network_stream

from .rows import COMBINATION, is_ours

#: Ways to run a row.
PYTORCH, ONNX, PLAN = "PyTorch", "ONNX Runtime", "TensorRT"
_SEED = 1
#: PyTorch's threads keep spinning for some milliseconds after their last work and would occupy the cores.
_SETTLE_S = 0.05


@dataclass(frozen=True)
class Speed:
    """Times of one way to run a row, in milliseconds of whole frames, host to host.

    Attributes:
        samples_ms: one per round.
    """

    samples_ms: tuple[float, ...]

    @property
    def best_ms(self) -> float:
        """The shortest time: other work on the machine only adds to it."""
        return min(self.samples_ms)

    @property
    def fps(self) -> float:
        """Frames per second at the shortest time."""
        return 1e3 / self.best_ms


def measure_speed(
    checkpoints: dict[str, Path],
    folder: Path,
    *,
    size_hw: tuple[int, int],
    rounds: int,
    threads: int,
    report: Callable[[str], None],
) -> dict[str, dict[str, Speed]]:
    """Time every row: eager PyTorch, our networks in ONNX Runtime too, and as plans where there is a GPU.

    Args:
        checkpoints: by row.
        folder: for the exported graphs and plans.
        size_hw: height and width of the frames.
        rounds: timed frames of each method, after one untimed.
        threads: CPU threads of PyTorch and ONNX Runtime.

    Returns:
        By row, and by the way to run it.
    """
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    frames = BenchFrames(synthetic_frames(size_hw, rounds + 1, seed=_SEED), "moving texture")
    with ExitStack() as stack:
        methods: list[tuple[str, str, Callable[[Frame], object]]] = []
        for row, checkpoint in checkpoints.items():
            report(f"{row}: opening")
            methods.append((row, PYTORCH, network_stream(load_either(checkpoint).model, device=device).infer))
            for way, engine in _engines(row, checkpoint, folder, size_hw, threads, report):
                methods.append((row, way, stack.enter_context(engine).infer))
        calls = [call for _, _, call in methods]
        loop = Loop(rounds, 1, lambda done: report(f"round {done} of {rounds} of {len(calls)} methods"))
        samples = time_alternately(calls, frames, loop, block=1, settle_s=_SETTLE_S)
    found: dict[str, dict[str, Speed]] = {row: {} for row in checkpoints}
    for (row, way, _), times in zip(methods, samples, strict=True):
        found[row][way] = Speed(tuple(times))
    return found


def has_gpu() -> bool:
    """Whether plans can run here."""
    try:
        require_gpu()
    except (NoGpuError, BackendNotInstalledError):
        return False
    return True


def _engines(
    row: str,
    checkpoint: Path,
    folder: Path,
    size_hw: tuple[int, int],
    threads: int,
    report: Callable[[str], None],
) -> Iterator[tuple[str, Engine]]:
    """Engines of a row: ours in ONNX Runtime; ours and the combination as plans where there is a GPU."""
    plans = has_gpu() and (is_ours(row) or row == COMBINATION)
    if not (is_ours(row) or plans):
        return
    precision = "fp16" if plans else "fp32"
    report(f"{row}: exporting")
    options = ExportOptions(precision=precision, size_hw=size_hw, output=folder / row, onnx_only=not plans)
    made = export(checkpoint, options, console=Console(quiet=True))
    if is_ours(row):
        yield ONNX, Engine(made.onnx, threads=threads)
    if made.plan is not None:
        yield PLAN, Engine(made.plan)
