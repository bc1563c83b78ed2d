"""A lane with no network: stages of a chosen length, a record of what was done, and failures on demand.

A frame is filled with one number. The state a frame leaves is the list of all numbers since the last reset, so that
every result says which frames went into it; it comes back as ``Output.mask``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from mostnet.contract import FrameError, Metadata
from mostnet.engine import Output, Session
from mostnet.engine.host_streams import HostEvent, ThreadStream, host_streams
from mostnet.engine.interfaces import DeviceFrame, Result, Stream, Streams
from mostnet.engine.options import Options

SIZE_HW = (64, 64)
HISTORY = 24
NAN = 255  # a frame of this number comes out "not finite"

METADATA = Metadata(
    variant="fake", size_hw=SIZE_HW, precision="fp32", opset=19, trained=False, states=(), checkpoint_sha256="0" * 64
)


def frame_of(value: int) -> np.ndarray:
    """A frame that carries ``value``."""
    return np.full((*SIZE_HW, 3), value, np.uint8)


def history(output: Output) -> list[int]:
    """Numbers of the frames that the state behind ``output`` has seen."""
    return output.mask.tolist()


def collect(stream: Iterable[Output]) -> tuple[list[Output], BaseException | None]:
    """What a stream yields, and the error that ended it."""
    outputs: list[Output] = []
    try:
        for output in stream:
            outputs.append(output)
    except BaseException as error:
        return outputs, error
    return outputs, None


class FakeLane:
    """Stages sleep ``delays_ms`` (upload, execute, download). ``failures[stage, number]`` is raised there, once.
    ``meet(stage, number)`` is called in each stage.

    ``log`` holds ``(stage, slot, number)`` in the order of the stages' ends, ``violations`` what a lane must never see.
    ``in_flight`` counts frames between their upload and the taking of their result.
    """

    def __init__(
        self,
        slots: int,
        delays_ms: Sequence[float] = (0, 0, 0),
        asynchronous: bool = False,
        results: str = "owned",
    ) -> None:
        self.slots = slots
        self.delays_ms = dict(zip(("upload", "execute", "download"), delays_ms, strict=True))
        self.failures: dict[tuple[str, int], BaseException] = {}
        self.meet: Callable[[str, int], object] | None = None
        self.log: list[tuple[str, int, int]] = []
        self.violations: list[str] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.closed = 0
        self._asynchronous = asynchronous
        self._borrowed = results == "borrowed"
        self._host = [frame_of(0) for _ in range(slots)]
        self._device = [frame_of(0) for _ in range(slots)]
        self._outputs = [frame_of(0) for _ in range(slots)]
        self._masks = [np.zeros(0, np.uint8) for _ in range(slots)]
        self.states: list[list[int]] = [[] for _ in range(slots)]
        self._results: list[Result | None] = [None] * slots
        self._at_work: set[str] = set()

    def active(self) -> AbstractContextManager[None]:
        return nullcontext()

    def event(self) -> HostEvent:
        return HostEvent()

    def open_streams(self, *, pipelined: bool) -> Streams:
        if self._asynchronous and not pipelined:
            return Streams(ThreadStream("a"), ThreadStream("b"), ThreadStream("c"))
        return host_streams(pipelined=pipelined)

    def host_input(self, slot: int) -> np.ndarray:
        return self._host[slot]

    def upload(self, slot: int, stream: Stream) -> None:
        number = int(self._host[slot][0, 0, 0])
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._work("upload", slot, number)
        np.copyto(self._device[slot], self._host[slot])

    def adopt(self, frame: object, stream: Stream) -> DeviceFrame:
        raise FrameError("the fake lane takes no frame on a device")

    def upload_from(self, slot: int, frame: DeviceFrame, stream: Stream) -> None:
        raise AssertionError

    def clear_state(self, slot: int, stream: Stream) -> None:
        self.states[slot] = []
        self.log.append(("clear", slot, -1))

    def execute(self, slot: int, stream: Stream) -> None:
        number = int(self._device[slot][0, 0, 0])
        if (self._device[slot] != number).any():
            self.violations.append(f"frame {number} in slot {slot} is torn")
        self._work("execute", slot, number)
        self.states[slot] = [*self.states[slot - 1], number][-HISTORY:]
        self._masks[slot] = np.array(self.states[slot], np.uint8)
        np.copyto(self._outputs[slot], self._device[slot])

    def download(self, slot: int, stream: Stream) -> None:
        number = int(self._outputs[slot][0, 0, 0])
        self._work("download", slot, number)
        picture = self._outputs[slot] if self._borrowed else self._outputs[slot].copy()
        self._results[slot] = Result(picture, None, self._masks[slot], number != NAN)

    def result(self, slot: int) -> Result:
        self.in_flight -= 1
        result, self._results[slot] = self._results[slot], None
        assert result is not None
        return result

    def close(self) -> None:
        self.closed += 1

    def done(self, stage: str) -> list[int]:
        """Numbers of the frames whose ``stage`` was done, in order."""
        return [number for name, _, number in self.log if name == stage]

    def _work(self, stage: str, slot: int, number: int) -> None:
        for busy in (stage, f"slot {slot}"):
            if busy in self._at_work:
                self.violations.append(f"{stage} of frame {number}: {busy} is at work already")
            self._at_work.add(busy)
        try:
            if self.meet is not None:
                self.meet(stage, number)
            if self.delays_ms[stage]:
                time.sleep(self.delays_ms[stage] / 1e3)
            if (error := self.failures.pop((stage, number), None)) is not None:
                raise error
            self.log.append((stage, slot, number))
        finally:
            self._at_work -= {stage, f"slot {slot}"}


class FakeModel:
    """Makes fake lanes; the latest is ``lanes[-1]``."""

    metadata = METADATA
    provider = "fake"

    def __init__(self, delays_ms: Sequence[float] = (0, 0, 0), asynchronous: bool = False) -> None:
        self.lanes: list[FakeLane] = []
        self._arguments = (delays_ms, asynchronous)

    def lane(self, slots: int, outputs: Sequence[str], *, results: str = "owned") -> FakeLane:
        self.lanes.append(FakeLane(slots, *self._arguments, results))
        return self.lanes[-1]

    def close(self) -> None:
        pass


def fake_session(
    delays_ms: Sequence[float] = (0, 0, 0), *, asynchronous: bool = False, **options: object
) -> tuple[Session, FakeLane]:
    """A session on a new fake lane."""
    model = FakeModel(delays_ms, asynchronous)
    session = Session(model, Options(**options))
    return session, model.lanes[0]
