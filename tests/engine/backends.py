"""The backends that the suite runs on, all with the toy network of ``tests.toy_graph``.

A new backend joins by one entry in ``BACKENDS``.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from typing import Any, ClassVar

import numpy as np
import pytest

from mostnet.contract import DeviceError
from mostnet.engine import Engine, Output
from mostnet.engine.ort import model as onnx_backend
from mostnet.engine.ort.lanes import DeviceLane
from mostnet.engine.ort.model import OnnxModel
from tests.toy_graph import METADATA, save_toy

from .fake import FakeModel, Gate
from .plan_setup import STAGE_CALLS, Machine


class Backend:
    """Opens engines on one backend, and makes their frames fail or wait.

    Attributes:
        stages: those that ``fail`` can make fail.
        error: what a frame that ``fail`` hit raises.
        lends: values of ``results`` that lend memory of a slot, besides ``owned``, which does not.
        asynchronous: ``infer`` raises while a late frame is still at work, not after it.
    """

    stages: ClassVar[tuple[str, ...]] = ()
    error: ClassVar[type[Exception]] = OSError
    lends: ClassVar[tuple[str, ...]] = ()
    asynchronous: ClassVar[bool] = False

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        """Whatever has to be patched or written for ``open``."""

    def open(self, **options: Any) -> Engine:
        """An engine of the toy network."""
        raise NotImplementedError

    def fail(self, stage: str, *, after: int = 0) -> None:
        """Let the ``stage`` of one frame fail, that of the next after ``after`` others."""
        raise NotImplementedError

    def hold(self) -> AbstractContextManager[Event]:
        """Let no frame get done; the event is set when one stands still."""
        raise NotImplementedError

    def fetch(self, result: Any) -> np.ndarray:
        """A copy of what is in a result now, wherever it lies."""
        assert isinstance(result, np.ndarray)
        return result.copy()

    def forget(self) -> None:
        """Drop the records that a test keeps of each frame."""

    def check(self) -> None:
        """Nothing was misused so far."""

    def check_closed(self) -> None:
        """All engines are closed, and their memory is given back."""
        self.check()


class FakeBackend(Backend):
    """The lane of ``fake.py``, at work in the calling thread."""

    stages = ("upload", "execute", "download")
    lends = ("borrowed",)

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._gate = Gate()
        self._path = folder / "fake.onnx"
        self._path.touch()
        self._models: list[FakeModel] = []
        monkeypatch.setattr(onnx_backend, "open_onnx", self._open_model)

    def _open_model(self, path: Path, options: object) -> FakeModel:
        self._models.append(FakeModel(asynchronous=self.asynchronous, gate=self._gate))
        return self._models[-1]

    def open(self, **options: Any) -> Engine:
        return Engine(self._path, **options)

    def fail(self, stage: str, *, after: int = 0) -> None:
        self._gate.failures[stage] = (after, self.error("the device is on fire"))

    def hold(self) -> AbstractContextManager[Event]:
        return self._gate.hold()

    def forget(self) -> None:
        for model in self._models:
            for lane in model.lanes:
                del lane.log[:]

    def check(self) -> None:
        assert [lane.violations for model in self._models for lane in model.lanes if lane.violations] == []

    def check_closed(self) -> None:
        self.check()
        assert {lane.closed for model in self._models for lane in model.lanes} <= {1}


class AsynchronousFakeBackend(FakeBackend):
    """The same with threads for its stages."""

    asynchronous = True


class OnnxBackend(Backend):
    """ONNX Runtime on the CPU."""

    stages = ("execute",)
    lends = ("borrowed",)

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        session = pytest.importorskip("onnxruntime").InferenceSession
        self._gate = Gate()
        self._path = save_toy(folder / "toy.onnx")
        run = session.run_with_iobinding

        def gated(session: Any, binding: Any) -> None:
            self._gate.enter("execute")
            run(session, binding)

        monkeypatch.setattr(session, "run_with_iobinding", gated)

    def open(self, **options: Any) -> Engine:
        return Engine(self._path, provider="cpu", **options)

    def fail(self, stage: str, *, after: int = 0) -> None:
        assert stage == "execute"
        self._gate.failures[stage] = (after, self.error("the runtime is on fire"))

    def hold(self) -> AbstractContextManager[Event]:
        return self._gate.hold()


class OnnxDeviceBackend(OnnxBackend):
    """The lane of ONNX Runtime's CUDA provider, with its values in host memory."""

    lends = ("device",)

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        open_onnx = onnx_backend.open_onnx
        # Private: the ONNX Runtime session of a model, for another lane than its own.
        monkeypatch.setattr(
            onnx_backend, "open_onnx", lambda path, options: DeviceModel(open_onnx(path, options)._session)
        )

    def fetch(self, result: Any) -> np.ndarray:
        if isinstance(result, np.ndarray):
            return result.copy()
        content = ctypes.string_at(result.address, result.nbytes)
        return np.frombuffer(content, result.dtype).reshape(result.shape)


class DeviceModel(OnnxModel):
    """A model whose values ONNX Runtime holds."""

    def __init__(self, session: Any) -> None:
        super().__init__(session, METADATA, "cpu")

    def lane(self, slots: int, outputs: Sequence[str], *, results: str = "owned") -> DeviceLane:
        return DeviceLane(self._session, self.metadata, slots, outputs, device="cpu", results=results)


class PlanBackend(Backend):
    """A plan on the miniature GPU."""

    stages = tuple(STAGE_CALLS)
    error = DeviceError
    lends = ("borrowed", "device")
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

    def forget(self) -> None:
        del self._machine.gpu.log[:]

    def check(self) -> None:
        assert self._machine.gpu.violations == []

    def check_closed(self) -> None:
        gc.collect()
        self._machine.close()


BACKENDS: dict[str, type[Backend]] = {
    "fake": FakeBackend,
    "fake-asynchronous": AsynchronousFakeBackend,
    "onnxruntime": OnnxBackend,
    "onnxruntime-device": OnnxDeviceBackend,
    "tensorrt": PlanBackend,
}

#: For tests with arguments ``backend`` and ``stage``: every stage that can be made to fail.
every_stage = pytest.mark.parametrize(
    ("backend", "stage"),
    [(name, stage) for name, backend in BACKENDS.items() for stage in backend.stages],
    indirect=["backend"],
)
#: For tests with arguments ``backend`` and ``results``: every way to lend results.
every_loan = pytest.mark.parametrize(
    ("backend", "results"),
    [(name, results) for name, backend in BACKENDS.items() for results in backend.lends],
    indirect=["backend"],
)
asynchronous_only = pytest.mark.parametrize(
    "backend", [name for name, backend in BACKENDS.items() if backend.asynchronous], indirect=True
)


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
