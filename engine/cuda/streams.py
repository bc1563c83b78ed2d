"""CUDA streams and events, and GPU timestamps on the host's clock. Used inside ``with device:`` only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from select import select
from time import perf_counter, sleep
from typing import Any, NamedTuple

from mostnet.engine.interfaces import Stream

from .device import CudaDevice

#: CU_STREAM_NON_BLOCKING: without it the kernels on PyTorch's default stream and ours would wait for each other.
_NON_BLOCKING = 1

#: A wait polls without pause for this long, since latency matters more than a core; then it sleeps between polls.
_SPIN_S = 2e-3
_NAP_S = 5e-5

#: In this time the clocks of host and GPU drift apart by microseconds.
_ANCHOR_LIFE_S = 1.0

#: An idle stream reaches an event in about 10 microseconds; a GPU that takes longer is too busy to set a clock.
_ANCHOR_WAIT_MS = 1.0


def poll(reached: Callable[[], bool], timeout_ms: float | None) -> bool:
    """Call ``reached`` until it is true; false if ``timeout_ms`` passes first. Other threads run meanwhile."""
    begun_s = perf_counter()
    while not reached():
        waited_s = perf_counter() - begun_s
        if timeout_ms is not None and waited_s * 1e3 >= timeout_ms:
            return False
        if waited_s < _SPIN_S:
            _let_others_run()
        else:
            sleep(_NAP_S)
    return True


def _let_others_run() -> None:
    if sys.platform == "win32":
        sleep(0)
    else:
        select((), (), (), 0)  # releases the interpreter for a microsecond; on Linux sleep(0) takes about 60


class _Anchor(NamedTuple):
    event: Any
    host_s: float


class Clock:
    """Anchors that relate the GPU's clock to the host's: the time of one event on both, renewed every second.

    The driver gives elapsed times as 32-bit floats: an hour after the anchor, their resolution is 0.25 ms.
    """

    def __init__(self, device: CudaDevice) -> None:
        self._driver = device.driver
        self._stream = device.driver.Stream(_NON_BLOCKING)
        self._anchor = self._set(None)

    def anchor(self) -> _Anchor:
        """An anchor at most a second old, or older if the GPU was too busy to set the clock."""
        if perf_counter() - self._anchor.host_s > _ANCHOR_LIFE_S:
            self._anchor = self._set(self._anchor)
        return self._anchor

    def close(self) -> None:
        """Destroy stream and anchor."""
        self._stream = self._anchor = None  # type: ignore[assignment]

    def _set(self, known: _Anchor | None) -> _Anchor:
        event = self._driver.Event()
        begun_s = perf_counter()
        event.record(self._stream)
        if not poll(event.query, None if known is None else _ANCHOR_WAIT_MS):
            assert known is not None, "only a wait with a limit ends early"
            return known
        return _Anchor(event, (begun_s + perf_counter()) / 2)


class CudaEvent:
    """An event with a GPU timestamp, recorded on a ``CudaStream``."""

    __slots__ = ("_anchor", "_clock", "raw")

    def __init__(self, device: CudaDevice, clock: Clock) -> None:
        self.raw = device.driver.Event()
        self._clock = clock
        self._anchor: _Anchor | None = None

    @property
    def time_s(self) -> float:
        """When the GPU last reached the event, on the clock of ``time.perf_counter``, to about 20 microseconds."""
        assert self._anchor is not None, "an event has no time before its first record"
        return self._anchor.host_s + float(self._anchor.event.time_till(self.raw)) / 1e3

    def since_ms(self, earlier: CudaEvent) -> float:
        """GPU time from ``earlier``, reached before this one."""
        return float(earlier.raw.time_till(self.raw))

    def query(self) -> bool:
        """True once the latest record is reached, before the first record, and after ``close``."""
        raw = self.raw  # another thread may close the event in between
        return raw is None or bool(raw.query())

    def wait(self, timeout_ms: float | None) -> bool:
        """Block until the latest record is reached; false if ``timeout_ms`` passes first."""
        return poll(self.query, timeout_ms)

    def record_on(self, stream: Any) -> None:
        """Record on a stream of pycuda; ``time_s`` measures from an anchor taken before."""
        self._anchor = self._clock.anchor()
        self.raw.record(stream)

    def close(self) -> None:
        """Destroy the event."""
        self.raw = self._anchor = None


class CudaStream:
    """A stream of the driver: work runs at once and enqueues itself on ``raw``."""

    def __init__(self, device: CudaDevice) -> None:
        self.raw = device.driver.Stream(_NON_BLOCKING)

    @property
    def handle(self) -> int:
        """The ``CUstream`` as a number."""
        return int(self.raw.handle)

    def run(self, work: Callable[[Stream], None]) -> None:
        """Let ``work`` enqueue now."""
        work(self)

    def record(self, event: CudaEvent) -> None:
        """Enqueue a record of ``event``."""
        event.record_on(self.raw)

    def wait(self, event: CudaEvent) -> None:
        """Enqueue a wait for the latest record of ``event``."""
        self.raw.wait_for_event(event.raw)

    def drain(self, timeout_ms: float | None) -> bool:
        """Block until the stream is empty; false if ``timeout_ms`` passes first."""
        return poll(self.raw.is_done, timeout_ms)

    def close(self) -> None:
        """Do nothing: the lane frees the stream."""

    def free(self) -> None:
        """Destroy the stream."""
        self.raw = None
