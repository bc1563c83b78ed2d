"""The speed of every row side by side: each round runs one frame of every method, in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from mostnet.bench.frames import BenchFrames, synthetic_frames
from mostnet.bench.measure import Loop, time_alternately
from mostnet.contract import BackendNotInstalledError, DeviceError, ExportError, Frame, ModelFileError, NoGpuError
from mostnet.engine import Engine
from mostnet.engine.cuda.driver import require_gpu
from mostnet.export import ExportOptions, ExportResult, export
from mostnet.model.table1 import load_either, network_stream

from .rows import COMBINATION, is_ours

#: Ways to run a row.
PYTORCH, ONNX, PLAN = "PyTorch", "ONNX Runtime", "TensorRT"
_SEED = 1
#: What shows that plans cannot be built or run here. The table then has no figures of them, and says why.
_NO_PLANS = (NoGpuError, BackendNotInstalledError, ExportError, ModelFileError, DeviceError)
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


@dataclass(frozen=True)
class Speeds:
    """The times of all rows.

    Attributes:
        rows: by row, and by the way to run it.
        devices: where each way ran, and in which precision.
        no_plans: why no row ran as a plan; empty if one did.
    """

    rows: Mapping[str, Mapping[str, Speed]]
    devices: Mapping[str, str]
    no_plans: str


def measure_speed(
    checkpoints: Mapping[str, Path],
    folder: Path,
    *,
    size_hw: tuple[int, int],
    rounds: int,
    threads: int,
    report: Callable[[str], None],
) -> Speeds:
    """Time every row: eager PyTorch; ours in ONNX Runtime too; ours and the combination as plans where there is a GPU.

    Args:
        checkpoints: by row.
        folder: for the exported graphs and plans.
        size_hw: height and width of the frames.
        rounds: timed frames of each method, after one untimed.
        threads: CPU threads of PyTorch and ONNX Runtime.
    """
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    devices = {PYTORCH: f"{device}, float32"}
    frames = BenchFrames(synthetic_frames(size_hw, rounds + 1, seed=_SEED), "moving texture")
    methods: list[tuple[str, str, Callable[[Frame], object]]] = []
    no_plans = ""
    with ExitStack() as stack:
        for row, checkpoint in checkpoints.items():
            report(f"{row}: opening")
            methods.append((row, PYTORCH, network_stream(load_either(checkpoint).model, device=device).infer))
            if is_ours(row):
                made = _export(checkpoint, folder / row, size_hw, "fp32")
                engine = stack.enter_context(Engine(made.onnx, threads=threads))
                devices[ONNX] = f"{engine.provider}, float32"
                methods.append((row, ONNX, engine.infer))
            if not no_plans and (is_ours(row) or row == COMBINATION):
                try:
                    plan = stack.enter_context(_plan(checkpoint, folder / row, size_hw))
                except _NO_PLANS as error:
                    no_plans = " ".join(str(error).split())
                    report(f"{row}: no plan: {no_plans}")
                else:
                    devices[PLAN] = "cuda, half precision with float32 islands"
                    methods.append((row, PLAN, plan.infer))
        loop = Loop(rounds, 1, lambda done: report(f"round {done} of {rounds} of {len(methods)} methods"))
        samples = time_alternately([call for _, _, call in methods], frames, loop, block=1, settle_s=_SETTLE_S)
    found: dict[str, dict[str, Speed]] = {row: {} for row in checkpoints}
    for (row, way, _), times in zip(methods, samples, strict=True):
        found[row][way] = Speed(tuple(times))
    return Speeds(found, devices, no_plans)


def _plan(checkpoint: Path, folder: Path, size_hw: tuple[int, int]) -> Engine:
    require_gpu()  # before minutes of export and building
    made = _export(checkpoint, folder, size_hw, "fp16")
    assert made.plan is not None
    return Engine(made.plan)


def _export(checkpoint: Path, folder: Path, size_hw: tuple[int, int], precision: str) -> ExportResult:
    options = ExportOptions(precision=precision, size_hw=size_hw, output=folder, onnx_only=precision == "fp32")
    return export(checkpoint, options, console=Console(quiet=True))
