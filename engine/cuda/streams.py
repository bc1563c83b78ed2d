"""CUDA streams and events, whose times are on the host's clock. Used inside ``with device:`` only."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from mostnet.engine.interfaces import Stream

from .clock import Clock, ClockAnchor
from .device import NON_BLOCKING, CudaDevice
from .waits import Question, poll, wait_in_c


class CudaEvent:
    """An event with a GPU timestamp, recorded on a ``CudaStream``.

    A wait with a limit sleeps for most of the time that the work took the last time, from its record to its end on the
    GPU. That time includes the frames ahead of it in a stream, and is learned anew in each such wait.
    """

    __slots__ = ("_anchor", "_clock", "_device", "_recorded_s", "_took_s", "raw")

    def __init__(self, device: CudaDevice, clock: Clock) -> None:
        self.raw = device.driver.Event()
        self._device = device
        self._clock = clock
        self._anchor: ClockAnchor | None = None
        self._recorded_s = self._took_s = 0.0

    @property
    def time_s(self) -> float:
        """When the GPU last reached the event, on the clock of ``time.perf_counter``, to about 25 microseconds."""
        assert self._anchor is not None, "an event has no time before its first record"
        return _time_s(self._anchor, self.raw)

    def since_ms(self, earlier: CudaEvent) -> float:
        """GPU time from ``earlier``, reached before this one."""
        return float(earlier.raw.time_till(self.raw))

    def query(self) -> bool:
        """True once the latest record is reached, before the first record, and after ``close``."""
        raw = self.raw  # another thread may close the event in between
        return raw is None or Question(self._device).ask(raw.query)

    def wait(self, timeout_ms: float | None) -> bool:
        """Block until the latest record is reached; false if ``timeout_ms`` passes first.

        Without a limit the call blocks in C. Another thread may close this object meanwhile: the event of CUDA lives
        until the call returns.
        """
        raw, anchor = self.raw, self._anchor
        if raw is None or anchor is None:
            return True
        if timeout_ms is None:
            wait_in_c(self._device, raw.synchronize)
            return True
        if not poll(self._device, raw.query, timeout_ms, self._recorded_s + self._took_s):
            return False
        self._learn(anchor, raw)
        return True

    def record_on(self, stream: Any, *, renew: bool = True) -> None:
        """Record on a stream of pycuda; ``time_s`` measures from an anchor taken before.

        ``renew`` allows to set the clock now if that is due, which takes a moment.
        """
        self._anchor = self._clock.anchor() if renew else self._clock.latest
        self._recorded_s = perf_counter()
        self.raw.record(stream)

    def close(self) -> None:
        """Destroy the event, after a wait for it in another thread."""
        self.raw = self._anchor = None

    def _learn(self, anchor: ClockAnchor, raw: Any) -> None:
        try:
            self._took_s = _time_s(anchor, raw) - self._recorded_s
        except self._device.driver.Error as error:
            # Another thread has recorded the event again, to close the engine: no frame will be waited for.
            if not self._device.is_not_ready(error):
                raise


class CudaStream:
    """A stream of the driver: work runs at once and enqueues itself on ``raw``."""

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._in_stage = False
        self.raw = device.driver.Stream(NON_BLOCKING)

    @property
    def handle(self) -> int:
        """The ``CUstream`` as a number."""
        return int(self.raw.handle)

    def run(self, work: Callable[[Stream], None]) -> None:
        """Let ``work`` enqueue now."""
        self._in_stage = True
        work(self)

    def record(self, event: CudaEvent) -> None:
        """Enqueue a record of ``event``. At the end of a stage, setting the clock would count as time of the stage."""
        event.record_on(self.raw, renew=not self._in_stage)
        self._in_stage = False

    def wait(self, event: CudaEvent) -> None:
        """Enqueue a wait for the latest record of ``event``."""
        self.raw.wait_for_event(event.raw)

    def drain(self, timeout_ms: float | None) -> bool:
        """Block until the stream is empty, in C without a limit; false if ``timeout_ms`` passes first."""
        if timeout_ms is None:
            wait_in_c(self._device, self.raw.synchronize)
            return True
        return poll(self._device, self.raw.is_done, timeout_ms)

    def close(self) -> None:
        """Do nothing: the lane frees the stream."""

    def free(self) -> None:
        """Destroy the stream."""
        self.raw = None


def _time_s(anchor: ClockAnchor, event: Any) -> float:
    return anchor.host_s + float(anchor.event.time_till(event)) / 1e3
