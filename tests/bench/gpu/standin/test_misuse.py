"""The stand-in notes misuse that TensorRT would suffer in silence."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mostnet.bench.gpu.miniature.gpu import MiniatureGpu, MiniatureStream
from mostnet.bench.gpu.standin.execution import StandinContext, StandinEngine, StandinVerbosity
from mostnet.bench.gpu.standin.miniature_runner import MiniatureRunner
from mostnet.bench.gpu.standin.plan import StandinPlan
from mostnet.bench.gpu.standin.tensorrt import StandinTensorRt
from mostnet.bench.gpu.standin.toy import INPUTS, METADATA, OUTPUTS, frame_of


class Opened:
    """A toy plan of TensorRT 8.6 with one context."""

    def __init__(self) -> None:
        self.gpu = MiniatureGpu()
        self.gpu.depth = 1
        self.trt = StandinTensorRt(MiniatureRunner(self.gpu), "8.6")
        self.lines: list[str] = []
        runtime = self.trt.module.Runtime(SimpleNamespace(log=lambda severity, line: self.lines.append(line)))
        self.engine: StandinEngine | None = runtime.deserialize_cuda_engine(StandinPlan(metadata=METADATA).to_bytes())
        assert self.engine is not None
        made = self.engine.create_execution_context_without_device_memory()
        assert made is not None
        self.context: StandinContext = made
        self.stream = MiniatureStream(self.gpu, 1)

    def bind(self) -> None:
        for spec in (*INPUTS, *OUTPUTS):
            address = self.gpu.allocate(spec.nbytes)
            self.gpu.at(address, spec.nbytes).fill(0)
            assert self.context.set_tensor_address(spec.name, address)
        self.context.device_memory = self.gpu.allocate(1000)
        self.context.nvtx_verbosity = StandinVerbosity.LAYER_NAMES_ONLY


@pytest.fixture
def opened() -> Opened:
    return Opened()


def test_a_context_runs(opened: Opened) -> None:
    opened.bind()
    frame = opened.gpu.array(opened.context.addresses["frame"], INPUTS[0].shape, "uint8")
    frame[...] = frame_of(3)
    assert opened.context.execute_async_v3(opened.stream.handle)
    opened.gpu.advance()
    found = opened.gpu.array(opened.context.addresses["enhanced"], OUTPUTS[0].shape, "uint8")
    assert np.array_equal(found[0], 255 - frame_of(3))
    assert opened.gpu.violations == []


def test_an_engine_that_goes_before_its_contexts(opened: Opened) -> None:
    opened.engine = None
    assert opened.gpu.violations == ["an engine went before its contexts"]


def test_contexts_of_another_engine_do_not_matter(opened: Opened) -> None:
    other = StandinEngine(opened.trt, StandinPlan(metadata=METADATA), opened.trt.config)
    del other
    assert opened.gpu.violations == []


def test_a_capture_before_the_first_run(opened: Opened) -> None:
    opened.bind()
    opened.stream.capture = []
    opened.context.execute_async_v3(opened.stream.handle)
    assert opened.gpu.violations == ["captured before the first run"]


def test_an_address_that_changes_after_the_first_run(opened: Opened) -> None:
    opened.bind()
    opened.context.execute_async_v3(opened.stream.handle)
    with pytest.raises(AssertionError, match="an address changed after the first run"):
        opened.context.set_tensor_address("frame", 0)


def test_a_name_of_a_later_generation(opened: Opened) -> None:
    assert not hasattr(opened.context, "set_device_memory")
    assert not hasattr(opened.engine, "device_memory_size_v2")
    assert hasattr(opened.engine, "device_memory_size")


def test_an_error_of_pytorch_is_logged(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """As TensorRT does it: a line, and false."""
    opened.bind()

    def fail(task: object, stream: int) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr("mostnet.bench.gpu.standin.miniature_runner.MiniatureTask.enqueue", fail)
    assert not opened.context.execute_async_v3(opened.stream.handle)
    assert opened.lines == ["RuntimeError: CUDA out of memory"]


def test_a_file_that_is_no_plan(opened: Opened) -> None:
    runtime = opened.trt.module.Runtime(SimpleNamespace(log=lambda severity, line: opened.lines.append(line)))
    assert runtime.deserialize_cuda_engine(b"ftrt") is None
    assert "this is no plan of the stand-in" in opened.lines[0]
