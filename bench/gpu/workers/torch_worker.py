"""Worker: the network in PyTorch, eager and compiled, and the peaks of the GPU.

``python -m mostnet.bench.gpu.workers.torch_worker CASES/NAME`` needs PyTorch and numpy.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mostnet.bench.gpu.cases import CHECKPOINT, FRAMES
from mostnet.contract import MeasurementError
from mostnet.contract.stopping import end_with_parent
from mostnet.contract.terminal import CommandParser
from mostnet.model.frame import FrameModule
from mostnet.model.table1 import frame_module, load_either, network_stream

from .serve import claim_stdout, limited, serve, time_each

#: By name: type of the weights, TF32 in convolutions and matrix products, and the way to run. TF32 does not concern
#: the compiled networks, which run no convolution or matrix product in float32.
METHODS = {
    "eager-fp32": (torch.float32, False, "eager"),
    "eager-tf32": (torch.float32, True, "eager"),
    "eager-fp16": (torch.float16, False, "eager"),
    "compile-reduce-overhead": (torch.float16, False, "reduce-overhead"),
    "compile-cuda-graph": (torch.float16, False, "graph"),
}

_WARM_UP = 5
_MATMUL_SIDE = 8192
_COPY_BYTES = 1 << 30

#: Modules with untyped functions.
_CUDA: Any = torch.cuda
_COMPILER: Any = torch.compiler

#: Takes the next frame on the device; its outputs there are valid until the next call.
FrameStep = Callable[[Tensor], tuple[Tensor, ...]]


class TorchWorker:
    """The case's checkpoint on one device. ``open`` makes the network of a method."""

    def __init__(self, folder: Path, *, device: str = "cuda") -> None:
        self._device = torch.device(device)
        self._network = load_either(folder / CHECKPOINT).model
        frames = np.load(folder / FRAMES)
        self._size_hw = (int(frames.shape[1]), int(frames.shape[2]))
        hosts = [torch.from_numpy(frame)[None] for frame in frames]
        # Page-locked, as in a fast application.
        self._frames = [host.pin_memory() for host in hosts] if self._on_gpu else hosts
        self._steps: dict[str, FrameStep] = {}

    def info(self) -> dict[str, Any]:
        """Versions, and the name of the GPU."""
        versions = {"python": sys.version.split()[0], "torch": torch.__version__}
        if self._on_gpu:
            versions["gpu"] = torch.cuda.get_device_name()
        return {"versions": versions}

    def open(self, method: str) -> dict[str, Any]:
        """Make the network, compile it and warm it up; returns the seconds that this took."""
        begun_s = perf_counter()
        dtype, tf32, how = METHODS[method]
        network = copy.deepcopy(self._network).to(dtype)
        if how == "eager":
            self._steps[method] = network_stream(network, device=self._device.type, allow_tf32=tf32).step
        else:
            if not self._on_gpu:
                raise MeasurementError(f"{method} needs CUDA graphs, and this worker runs on the {self._device.type}")
            module = frame_module(network).eval().to(self._device)
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            make = {"reduce-overhead": reduce_overhead_step, "graph": cuda_graph_step}[how]
            self._steps[method] = make(module, self._size_hw)
        for frame in limited(self._frames, count=_WARM_UP, seconds=60.0):
            self._one_frame(self._steps[method], frame)
        return {"open_s": perf_counter() - begun_s}

    def round(self, method: str, count: int, seconds: float) -> dict[str, Any]:
        """One round: ``samples_ms`` with copies; ``fps`` and ``gpu_ms`` without copies and with one wait at the end."""
        step = self._steps[method]
        run = limited(self._frames, count=count, seconds=seconds)
        samples, with_copies = time_each(lambda frame: self._one_frame(step, frame), run)
        frames = max(10, min(count, int(seconds * with_copies)))
        resident = self._frames[0].to(self._device)
        begun, ended = self._mark(), self._mark()
        self._wait()
        begun_s = perf_counter()
        self._record(begun)
        for _ in range(frames):
            step(resident)
        self._record(ended)
        self._wait()
        fps = frames / (perf_counter() - begun_s)
        answer = {"fps": fps, "fps_with_copies": with_copies, "samples_ms": samples}
        return answer if begun is None else {**answer, "gpu_ms": begun.elapsed_time(ended) / frames}

    def peaks(self, side: int = _MATMUL_SIDE, copy_bytes: int = _COPY_BYTES) -> dict[str, Any]:
        """Peaks of this GPU: a half-precision matrix product, and a copy within its memory (bytes read and written)."""
        a, b = (torch.randn((side, side), device=self._device).half() for _ in range(2))
        matmul_s = self._time_s(lambda: torch.matmul(a, b))
        source = torch.ones(copy_bytes, dtype=torch.uint8, device=self._device)
        target = torch.empty_like(source)
        copy_s = self._time_s(lambda: target.copy_(source))
        return {"matmul_tflop_s": 2 * side**3 / matmul_s / 1e12, "memcpy_gb_s": 2 * copy_bytes / copy_s / 1e9}

    def close(self) -> dict[str, Any]:
        """Free everything. A second call does nothing."""
        self._steps.clear()
        return {}

    @property
    def _on_gpu(self) -> bool:
        return self._device.type == "cuda"

    def _one_frame(self, step: FrameStep, frame: Tensor) -> list[Tensor]:
        """Copy in, run, and copy the four outputs out, as ``Engine.infer`` does."""
        return [output.cpu() for output in step(frame.to(self._device, non_blocking=True))]

    def _mark(self) -> Any:
        return _CUDA.Event(enable_timing=True) if self._on_gpu else None

    def _record(self, mark: Any) -> None:
        if mark is not None:
            mark.record()

    def _wait(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize()

    def _time_s(self, call: Callable[[], object], repeats: int = 10) -> float:
        for _ in range(3):
            call()
        self._wait()
        begun_s = perf_counter()
        for _ in range(repeats):
            call()
        self._wait()
        return (perf_counter() - begun_s) / repeats


def reduce_overhead_step(module: FrameModule, size_hw: tuple[int, int]) -> FrameStep:
    """``torch.compile(mode="reduce-overhead")``: Inductor's kernels in PyTorch's own CUDA graphs."""
    compiled = torch.compile(module, mode="reduce-overhead", fullgraph=True)
    state = list(module.zero_state(size_hw))

    def step(frame: Tensor) -> tuple[Tensor, ...]:
        _COMPILER.cudagraph_mark_step_begin()
        with torch.no_grad():
            outputs = compiled(frame, *state)
            state[:] = [value.clone() for value in outputs[4:]]  # the next replay overwrites its own outputs
        return tuple(outputs[:4])

    return step


def cuda_graph_step(module: FrameModule, size_hw: tuple[int, int]) -> FrameStep:
    """``torch.compile`` in one CUDA graph captured by hand, with the state in place: the fastest way that we know."""
    compiled = torch.compile(module, fullgraph=True)
    state = list(module.zero_state(size_hw))
    resident = torch.zeros((1, *size_hw, 3), dtype=torch.uint8, device=state[0].device)

    def run() -> tuple[Tensor, ...]:
        outputs = compiled(resident, *state)
        for kept, value in zip(state, outputs[4:], strict=True):
            kept.copy_(value)
        return tuple(outputs[:4])

    side = _CUDA.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        outputs = run()

    def step(frame: Tensor) -> tuple[Tensor, ...]:
        resident.copy_(frame)
        graph.replay()
        return outputs

    return step


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = CommandParser(prog="python -m mostnet.bench.gpu.workers.torch_worker", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="CASES/NAME")
    parser.add_argument("--part", choices=("torch",), default="torch")
    parser.add_argument("--device", default="cuda", help="cpu is for tests of the worker (default: %(default)s)")
    args = parser.parse_args(argv)
    end_with_parent()
    answers = claim_stdout()
    worker = TorchWorker(args.folder, device=args.device)
    names = ("info", "open", "round", "peaks", "close")
    serve({name: getattr(worker, name) for name in names}, sys.stdin, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
