"""The runner of a real GPU, rehearsed on the processor: an imitation of ``torch.cuda`` notes each call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mostnet.bench.gpu.miniature.gpu import MiniatureGpu
from mostnet.bench.gpu.standin import cuda_runner
from mostnet.bench.gpu.standin.cuda_runner import CudaRunner, CudaTask
from mostnet.bench.gpu.standin.plan import StandinPlan
from mostnet.bench.gpu.standin.runner import Binding, Bindings
from mostnet.bench.gpu.standin.toy import INPUTS, METADATA, OUTPUTS, frame_of, reference
from mostnet.contract import TensorSpec

STREAM = 0x1234


class Imitation:
    """``torch.cuda``, with a clock of a million cycles per millisecond."""

    def __init__(self) -> None:
        self.log: list[tuple[object, ...]] = []
        self.alive = True

    def ExternalStream(self, handle: int) -> str:  # noqa: N802
        return f"stream {handle:#x}"

    @contextmanager
    def stream(self, stream: str) -> Iterator[None]:
        self.log.append(("enter", stream))
        yield
        self.log.append(("leave", stream))

    @contextmanager
    def use_mem_pool(self, pool: object) -> Iterator[None]:
        self.log.append(("enter", "pool"))
        yield
        self.log.append(("leave", "pool"))

    def MemPool(self) -> object:  # noqa: N802
        imitation = self

        class Pool:
            def __del__(self) -> None:
                imitation.log.append(("free pool",))

        return Pool()

    def Event(self, *, enable_timing: bool) -> SimpleNamespace:  # noqa: N802
        assert enable_timing
        return SimpleNamespace(record=lambda: None, synchronize=lambda: None, elapsed_time=lambda later: 20.0)

    def _sleep(self, cycles: int) -> None:
        self.log.append(("sleep", cycles))

    def current_stream(self) -> SimpleNamespace:
        return SimpleNamespace(synchronize=lambda: self.log.append(("synchronise",)))

    def mem_get_info(self) -> tuple[int, int]:
        if not self.alive:
            raise RuntimeError("CUDA error: unspecified launch failure")
        return 1, 2


@pytest.fixture
def imitation(monkeypatch: pytest.MonkeyPatch) -> Imitation:
    made = Imitation()
    workspaces = SimpleNamespace(_cuda_clearCublasWorkspaces=lambda: made.log.append(("clear workspaces",)))
    monkeypatch.setattr(cuda_runner, "_CUDA", made)
    monkeypatch.setattr(cuda_runner, "_C", workspaces)
    monkeypatch.setattr(cuda_runner, "_DEVICE", "cpu")
    cuda_runner._cycles_per_ms.cache_clear()
    return made


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> MiniatureGpu:
    made = MiniatureGpu()
    monkeypatch.setattr(cuda_runner, "_memory", lambda b: made.array(b.address, b.shape, b.dtype))
    return made


def bindings(gpu: MiniatureGpu) -> Bindings:
    def bind(specs: tuple[TensorSpec, ...]) -> tuple[Binding, ...]:
        return tuple(Binding(spec.name, gpu.allocate(spec.nbytes), spec.shape, spec.dtype) for spec in specs)

    return Bindings(bind(INPUTS), bind(OUTPUTS), *bind((TensorSpec("scratch", (1000,), "uint8"),)))


def task(gpu: MiniatureGpu, *, compute_ms: float = 0.0) -> tuple[CudaTask, Bindings]:
    places = bindings(gpu)
    for binding in places.inputs:
        gpu.array(binding.address, binding.shape, binding.dtype).fill(0)
    return CudaRunner().load(StandinPlan(metadata=METADATA, compute_ms=compute_ms)).bind(places), places


def test_it_runs_on_the_stream_and_in_the_pool_of_its_own(gpu: MiniatureGpu, imitation: Imitation) -> None:
    made, places = task(gpu, compute_ms=0.5)
    assert imitation.log[-1] == ("synchronise",), "the weights must be there"
    del imitation.log[:]
    frame = places.inputs[0]
    gpu.array(frame.address, frame.shape, frame.dtype)[...] = frame_of(5)
    made.enqueue(STREAM)
    outer, inner = "stream 0x1234", "pool"
    assert imitation.log == [("enter", outer), ("enter", inner), ("sleep", 500_000), ("leave", inner), ("leave", outer)]
    wanted = reference([frame_of(5)])[0]
    for binding in places.outputs[:4]:
        found = gpu.array(binding.address, binding.shape, binding.dtype)
        assert np.array_equal(found[0], wanted[binding.name]), binding.name
    assert (gpu.at(places.scratch.address, 1000) == 0xEE).all()


def test_without_a_compute_time_nothing_idles(gpu: MiniatureGpu, imitation: Imitation) -> None:
    made, _ = task(gpu)
    made.enqueue(STREAM)
    assert not [entry for entry in imitation.log if entry[0] == "sleep"]


def test_its_memory_is_given_back(gpu: MiniatureGpu, imitation: Imitation) -> None:
    made, _ = task(gpu)
    made.enqueue(STREAM)
    del imitation.log[:]
    del made
    assert imitation.log == [("clear workspaces",), ("free pool",)]


def test_the_pool_of_a_lost_gpu_is_never_touched(gpu: MiniatureGpu, imitation: Imitation) -> None:
    made, _ = task(gpu)
    imitation.alive = False
    del imitation.log[:]
    del made
    assert imitation.log == []


def test_runs_are_repeatable_and_float32(imitation: Imitation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    CudaRunner().load(StandinPlan(metadata=METADATA))
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.benchmark


def test_pytorch_has_what_the_runner_takes() -> None:
    cuda: Any = torch.cuda
    for name in (
        "ExternalStream",
        "MemPool",
        "use_mem_pool",
        "stream",
        "current_stream",
        "Event",
        "mem_get_info",
        "_sleep",
    ):
        assert hasattr(cuda, name), name
    stubs = torch.__file__.replace("__init__.py", "_C/__init__.pyi")
    with open(stubs, encoding="utf-8") as file:  # noqa: PTH123
        assert "def _cuda_clearCublasWorkspaces() -> None" in file.read()
