"""The backends that the suite runs on, all with the toy network of ``tests.toy_graph``.

A new backend joins by one entry in ``BACKENDS``.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np
import pytest

from mostnet.contract import DeviceError, ServerBusyError
from mostnet.engine import Engine, Output
from mostnet.engine.options import Options
from mostnet.engine.ort import model as onnx_backend
from mostnet.engine.ort.lanes import DeviceLane
from mostnet.engine.ort.model import OnnxModel
from mostnet.serve import TritonSession
from tests.toy_graph import save_toy

from .fake import FakeModel, Gate
from .plan_setup import STAGE_CALLS, Machine


class Backend:
    """Opens engines on one backend, and makes their frames fail or wait: by default at a gate that their work passes.

    Attributes:
        stages: the stages that ``fail`` can make fail.
        error: the error of such a frame.
        lends: values of ``results`` that lend the memory of a slot.
        recycles: memory of an owned result is used again when the caller drops it.
        asynchronous: ``infer`` reports a late frame in time, not when it is done.
        distant: each frame goes through a network connection, which makes the longest tests too long.
    """

    stages: ClassVar[tuple[str, ...]] = ()
    error: ClassVar[type[Exception]] = OSError
    lends: ClassVar[tuple[str, ...]] = ()
    recycles: ClassVar[bool] = False
    asynchronous: ClassVar[bool] = False
    distant: ClassVar[bool] = False

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        """Prepare ``open``: files go to ``folder``."""
        self.gate = Gate()

    def open(self, **options: Any) -> Engine | TritonSession:
        """An engine of the toy network, or what has the same interface."""
        raise NotImplementedError

    def fail(self, stage: str, *, after: int = 0) -> None:
        """After ``after`` more frames, let ``stage`` of one fail."""
        assert stage in self.stages
        self.gate.failures[stage] = (after, self.error("the device is on fire"))

    def hold(self) -> AbstractContextManager[Event]:
        """Let no frame get done; the event is set when one stands still."""
        return self.gate.hold()

    def fetch(self, result: Any) -> np.ndarray:
        """A copy of a result as it is now."""
        assert isinstance(result, np.ndarray)
        return result.copy()

    def run_ahead(self) -> None:
        """Give the reader of a stream and the device time to get as far as they may."""
        time.sleep(0.01)

    def forget(self) -> None:
        """Drop the records of past frames."""

    def check(self) -> None:
        """Nothing was misused so far."""

    def check_freed(self) -> None:
        """All engines have given their memory back by now, without a garbage collection."""
        raise NotImplementedError

    def check_closed(self) -> None:
        """Nothing was misused, and closed engines have given their memory back."""
        self.check()


class FakeBackend(Backend):
    """The lane of ``fake.py``, which works in the calling thread."""

    stages = ("upload", "execute", "download")
    lends = ("borrowed",)

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        self._model = FakeModel(asynchronous=self.asynchronous, gate=self.gate)
        self._path = folder / "fake.onnx"
        self._path.touch()
        monkeypatch.setattr(onnx_backend, "open_onnx", lambda path, options: self._model)

    def open(self, **options: Any) -> Engine:
        return Engine(self._path, **options)

    def forget(self) -> None:
        for lane in self._model.lanes:
            del lane.log[:]

    def check(self) -> None:
        assert [lane.violations for lane in self._model.lanes if lane.violations] == []

    def check_freed(self) -> None:
        assert {lane.closed for lane in self._model.lanes} == {1}

    def check_closed(self) -> None:
        self.check()
        assert {lane.closed for lane in self._model.lanes} <= {1}


class AsynchronousFakeBackend(FakeBackend):
    """The same with a thread for each stage."""

    asynchronous = True


class OnnxBackend(Backend):
    """ONNX Runtime on the CPU."""

    stages = ("execute",)
    lends = ("borrowed",)
    recycles = True

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        self._path = save_toy(folder / "toy.onnx")
        kind = pytest.importorskip("onnxruntime").InferenceSession
        self._sessions: WeakSet[Any] = WeakSet()
        monkeypatch.setattr(onnx_backend, "own", self._sessions.add)
        run = kind.run_with_iobinding

        def gated(session: Any, binding: Any) -> None:
            self.gate.enter("execute")
            run(session, binding)

        monkeypatch.setattr(kind, "run_with_iobinding", gated)

    def open(self, **options: Any) -> Engine:
        return Engine(self._path, provider="cpu", **options)

    def check_freed(self) -> None:
        assert not self._sessions


class OnnxDeviceBackend(OnnxBackend):
    """The lane of ONNX Runtime's CUDA provider, with its values in host memory."""

    lends = ("device",)
    recycles = False  # ONNX Runtime makes the array of a value in device memory itself

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        open_onnx = onnx_backend.open_onnx

        def open_on_device(path: Path, options: Options) -> OnnxModel:
            model = open_onnx(path, options)
            model.provider, model.device = "cuda", 0
            return model

        monkeypatch.setattr(onnx_backend, "open_onnx", open_on_device)
        monkeypatch.setattr(
            onnx_backend, "DeviceLane", lambda *args, device, **options: DeviceLane(*args, device="cpu", **options)
        )

    def fetch(self, result: Any) -> np.ndarray:
        if isinstance(result, np.ndarray):
            return result.copy()
        content = ctypes.string_at(result.address, result.nbytes)
        return np.frombuffer(content, result.dtype).reshape(result.shape)


class PlanBackend(Backend):
    """A plan on the miniature GPU."""

    stages = tuple(STAGE_CALLS)
    error = DeviceError
    lends = ("borrowed", "device")
    recycles = True
    asynchronous = True

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._machine = Machine(monkeypatch, folder)

    def open(self, **options: Any) -> Engine:
        return self._machine.open(**options)

    def fail(self, stage: str, *, after: int = 0) -> None:
        error = self._machine.driver.LogicError("odd failed: invalid value")
        self._machine.gpu.failures[STAGE_CALLS[stage]] = (after, error)

    @contextmanager
    def hold(self) -> Iterator[Event]:
        gpu = self._machine.gpu
        gpu.awaited.clear()
        gpu.stuck = True
        try:
            yield gpu.awaited
        finally:
            gpu.stuck = False

    def fetch(self, result: Any) -> np.ndarray:
        return self._machine.fetch(result)

    def run_ahead(self) -> None:
        super().run_ahead()
        self._machine.gpu.advance(1000)

    def forget(self) -> None:
        del self._machine.gpu.log[:]

    def check(self) -> None:
        assert self._machine.gpu.violations == []

    def check_freed(self) -> None:
        self._machine.check_empty()

    def check_closed(self) -> None:
        gc.collect()
        self._machine.close()


class TritonBackend(Backend):
    """A server in this process with Triton's gRPC service, which shares memory with its clients."""

    stages = ("execute",)
    error = ServerBusyError
    lends = ("borrowed",)
    recycles = True
    asynchronous = True
    distant = True

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        pytest.importorskip("tritonclient.grpc")
        from tests.serve.triton.camera_server import CameraServer

        self._server = CameraServer()
        self.gate = self._server.gate

    def fail(self, stage: str, *, after: int = 0) -> None:
        assert stage in self.stages
        self.gate.failures[stage] = (after, OSError("the server has no place"))

    def open(self, *, threads: int | None = None, **options: Any) -> TritonSession:
        return TritonSession(self._server.address, shared_memory=True, **options)

    def forget(self) -> None:
        del self._server.requests[:]

    def check_freed(self) -> None:
        assert (self._server.sequences, self._server.regions) == ({}, {})

    def check_closed(self) -> None:
        self._server.stop()


BACKENDS: dict[str, type[Backend]] = {
    "fake": FakeBackend,
    "fake-asynchronous": AsynchronousFakeBackend,
    "onnxruntime": OnnxBackend,
    "onnxruntime-device": OnnxDeviceBackend,
    "tensorrt": PlanBackend,
    "triton": TritonBackend,
}


def _every(argument: str, attribute: str) -> pytest.MarkDecorator:
    pairs = [(name, value) for name, kind in BACKENDS.items() for value in getattr(kind, attribute)]
    return pytest.mark.parametrize(("backend", argument), pairs, indirect=["backend"])


#: Runs a test with arguments ``backend`` and ``stage`` on every stage that can be made to fail.
every_stage = _every("stage", "stages")
#: Runs a test with arguments ``backend`` and ``results`` on every way to lend results.
every_loan = _every("results", "lends")


def only(wanted: Callable[[type[Backend]], bool]) -> pytest.MarkDecorator:
    """Runs a test on the backends that are ``wanted``."""
    return pytest.mark.parametrize("backend", [name for name, kind in BACKENDS.items() if wanted(kind)], indirect=True)


def collect(
    stream: Iterable[Output], *, taken: int = 0, then: Callable[[], object] = lambda: None
) -> tuple[list[Output], BaseException | None]:
    """The outputs of a stream, and the error that ended it; ``then`` is called once so many outputs are ``taken``."""
    outputs: list[Output] = []
    try:
        for output in stream:
            outputs.append(output)
            if len(outputs) == taken:
                then()
    except BaseException as error:
        return outputs, error
    return outputs, None


def shorten(monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    """Set a private time limit, such as ``READER_WAIT_S``, in every module of the engine that has it."""
    engine = [module for path, module in sys.modules.items() if path.startswith("mostnet.engine.")]
    found = [module for module in engine if name in vars(module)]
    assert found, f"no module of the engine has {name}"
    for module in found:
        monkeypatch.setattr(module, name, value)
