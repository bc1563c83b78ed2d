"""A lane in host memory with stages of a chosen length, a record of what it did, and failures on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np

from mostnet.bench.gpu.standin.toy import METADATA, OUTPUTS, SIZE_HW, STATES, step
from mostnet.contract import FrameError
from mostnet.engine import Session
from mostnet.engine.host_streams import HostEvent, ThreadStream, host_streams
from mostnet.engine.interfaces import DeviceFrame, Result, Stream, Streams
from mostnet.engine.options import Options

PICTURES = ("enhanced", "flow", "mask")


class Gate:
    """Work passes it, is held by it, or fails in it: ``failures[stage]`` is ``(frames that pass before, error)``."""

    def __init__(self) -> None:
        self.failures: dict[str, tuple[int, BaseException]] = {}
        self._open = threading.Event()
        self._open.set()
        self._reached = threading.Event()

    def enter(self, stage: str) -> None:
        """Called by the work of ``stage``, once per frame."""
        if not self._open.is_set():
            self._reached.set()
            self._open.wait()
        if stage in self.failures:
            left, error = self.failures.pop(stage)
            if left == 0:
                try:
                    raise error
                finally:
                    del error  # its traceback would keep it alive, and with it the engine
            self.failures[stage] = (left - 1, error)

    @contextmanager
    def hold(self) -> Iterator[threading.Event]:
        """Let nothing pass; the event is set when work stands before the gate."""
        self._reached.clear()
        self._open.clear()
        try:
            yield self._reached
        finally:
            self._open.set()


class _LaneStream(ThreadStream):
    """A stream that a lane has for all its time, as on a device."""

    def close(self) -> None:
        pass

    def end(self) -> None:
        super().close()


class FakeLane:
    """Stages call ``enter(stage, number)`` and sleep ``delays_ms`` (upload, execute, download).

    ``log`` holds ``(stage, slot, number)`` in the order of the stages' ends, ``violations`` each misuse of the lane.
    ``in_flight`` counts frames between their upload and the taking of their result.
    """

    def __init__(
        self,
        slots: int,
        outputs: Sequence[str],
        *,
        results: str = "owned",
        delays_ms: Sequence[float] = (0, 0, 0),
        asynchronous: bool = False,
        gate: Gate | None = None,
    ) -> None:
        self.slots = slots
        self.delays_ms = dict(zip(("upload", "execute", "download"), delays_ms, strict=True))
        self.gate = Gate() if gate is None else gate
        self.enter: Callable[[str, int], object] = lambda stage, number: self.gate.enter(stage)
        self.log: list[tuple[str, int, int]] = []
        self.violations: list[str] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.closed = 0
        self._wanted = [name for name in PICTURES if name in outputs]
        self._threads = [_LaneStream(name) for name in ("a", "b", "c")] if asynchronous else []
        self._borrowed = results == "borrowed"
        self._host = [np.zeros((*SIZE_HW, 3), np.uint8) for _ in range(slots)]
        self._device = [np.zeros((1, *SIZE_HW, 3), np.uint8) for _ in range(slots)]
        self._made = [{spec.name: np.zeros(spec.shape, spec.dtype) for spec in OUTPUTS} for _ in range(slots)]
        self._views = [{name: _read_only(made[name][0]) for name in PICTURES} for made in self._made]
        self._results: list[Result | None] = [None] * slots
        self._at_work: set[str] = set()

    def active(self) -> AbstractContextManager[None]:
        return nullcontext()

    def event(self) -> HostEvent:
        return HostEvent()

    def open_streams(self, *, pipelined: bool) -> Streams:
        return Streams(*self._threads) if self._threads else host_streams(pipelined=pipelined)

    def host_input(self, slot: int) -> np.ndarray:
        return self._host[slot]

    def upload(self, slot: int, stream: Stream) -> None:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._work("upload", slot, self._host[slot])
        np.copyto(self._device[slot][0], self._host[slot])

    def adopt(self, frame: object, stream: Stream) -> DeviceFrame:
        raise FrameError("the fake lane takes no frame on a device")

    def upload_from(self, slot: int, frame: DeviceFrame, stream: Stream) -> None:
        raise AssertionError

    def clear_state(self, slot: int, stream: Stream) -> None:
        for pair in STATES:
            self._made[slot][pair.output.name].fill(0)
        self.log.append(("clear", slot, -1))

    def execute(self, slot: int, stream: Stream) -> None:
        self._work("execute", slot, self._device[slot][0])
        state = {pair.input.name: self._made[slot - 1][pair.output.name] for pair in STATES}
        for name, value in step({"frame": self._device[slot], **state}).items():
            self._made[slot][name][...] = value

    def download(self, slot: int, stream: Stream) -> None:
        self._work("download", slot, self._device[slot][0])
        found = {name: self._views[slot][name] for name in self._wanted}
        if not self._borrowed:
            found = {name: view.copy() for name, view in found.items()}
        finite = bool(self._made[slot]["finite"][0])
        self._results[slot] = Result(*(found.get(name) for name in PICTURES), finite)

    def result(self, slot: int) -> Result:
        self.in_flight -= 1
        result, self._results[slot] = self._results[slot], None
        assert result is not None
        return result

    def close(self) -> None:
        self.closed += 1
        self._host, self._device, self._made, self._views, self._results = [], [], [], [], []
        for stream in self._threads:
            stream.end()

    def _work(self, stage: str, slot: int, frame: np.ndarray) -> None:
        number = int(frame[0, 0, 0])
        for busy in (stage, f"slot {slot}"):
            if busy in self._at_work:
                self.violations.append(f"{stage} of frame {number}: {busy} is at work already")
            self._at_work.add(busy)
        try:
            self.enter(stage, number)
            if self.delays_ms[stage]:
                time.sleep(self.delays_ms[stage] / 1e3)
            self.log.append((stage, slot, number))
        finally:
            self._at_work -= {stage, f"slot {slot}"}


class FakeModel:
    """Makes fake lanes; the latest is ``lanes[-1]``. ``options`` are those of ``FakeLane``."""

    metadata = METADATA
    provider = "fake"
    device = None

    def __init__(self, **options: object) -> None:
        self.path = Path("fake.onnx")
        self.lanes: list[FakeLane] = []
        self._options = options

    def lane(self, slots: int, outputs: Sequence[str], *, results: str = "owned") -> FakeLane:
        self.lanes.append(FakeLane(slots, outputs, results=results, **self._options))
        return self.lanes[-1]

    def close(self) -> None:
        pass


def fake_session(
    delays_ms: Sequence[float] = (0, 0, 0), *, asynchronous: bool = False, **options: object
) -> tuple[Session, FakeLane]:
    """A session on a new fake lane."""
    model = FakeModel(delays_ms=delays_ms, asynchronous=asynchronous)
    session = Session(model, Options(**options))
    return session, model.lanes[0]


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
