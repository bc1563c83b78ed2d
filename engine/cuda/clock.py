"""The GPU's clock on the host: anchors, each the time of one event on both clocks."""

from __future__ import annotations

import threading
from functools import cache
from math import inf
from time import perf_counter
from typing import Any, NamedTuple

from .device import NON_BLOCKING, CudaDevice
from .waits import Question, wait_in_c

#: An anchor is renewed after this time, in which the clocks drift apart by microseconds.
_ANCHOR_LIFE_S = 1.0

#: An idle stream reaches an event in about 10 microseconds. The middle of a window is wrong by half of it at most.
_WINDOW_S = 5e-5
_TRIES = 4

#: A try holds the submitting thread, and the interpreter with it, for this long at most.
_TRY_S = 5e-4

#: How far the two clocks drift apart, in seconds per second.
_DRIFT = 5e-5


class ClockAnchor(NamedTuple):
    """An event that the GPU reached at ``host_s``, in the middle of a window that the host saw."""

    event: Any
    host_s: float
    window_s: float


class Clock:
    """Anchors, renewed every second. An event that the GPU was slow to reach sets no clock.

    Any thread may ask. The driver gives elapsed times as 32-bit floats: an hour after the anchor, their resolution is
    0.25 ms.
    """

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._stream = device.driver.Stream(NON_BLOCKING)
        self._anchor = self._first()
        self._set_s = perf_counter()

    @property
    def latest(self) -> ClockAnchor:
        """The latest anchor, however old."""
        return self._anchor

    def anchor(self) -> ClockAnchor:
        """An anchor at most a second old, or older if the GPU has been too busy to set the clock better."""
        now_s = perf_counter()
        if now_s - self._set_s > _ANCHOR_LIFE_S:
            self._set_s = now_s  # also if it fails: a busy GPU must not cost every frame some tries
            self._anchor = self._renewed(self._anchor)
        return self._anchor

    def close(self) -> None:
        """Destroy stream and anchor."""
        self._stream = self._anchor = None  # type: ignore[assignment]

    def _first(self) -> ClockAnchor:
        """The best of some tries, since there is no other anchor yet."""
        best = self._try(patient=True)
        for _ in range(_TRIES - 1):
            best = min(best, self._try(patient=True), key=_window_s)
        return best

    def _renewed(self, known: ClockAnchor) -> ClockAnchor:
        """A narrow anchor; otherwise the best of some tries if it beats ``known`` and what drift has made of it."""
        best = self._try(patient=False)
        for _ in range(_TRIES - 1):
            if best.window_s <= _WINDOW_S:
                return best
            best = min(best, self._try(patient=False), key=_window_s)
        limit_s = max(_WINDOW_S, known.window_s, _DRIFT * (perf_counter() - known.host_s))
        return best if best.window_s <= limit_s else known

    def _try(self, *, patient: bool) -> ClockAnchor:
        """An anchor. This thread keeps the interpreter for a moment: giving it up would widen the window.

        After that moment a ``patient`` try goes on, and any other has an endless window.
        """
        event = self._device.driver.Event()
        question = Question(self._device)
        begun_s = perf_counter()
        event.record(self._stream)
        while not question.ask(event.query):
            if perf_counter() - begun_s > _TRY_S:
                if not patient:
                    return ClockAnchor(event, begun_s, inf)
                wait_in_c(self._device, event.synchronize)
        window_s = perf_counter() - begun_s
        return ClockAnchor(event, begun_s + window_s / 2, window_s)


class SharedClock:
    """The clock of all lanes on a device, from the first ``take`` until every user has released it.

    A lane needs no stream for a clock of its own: the GPU runs only eight streams without false waits.
    """

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._clock: Clock | None = None
        self._users = 0
        # Reentrant: a signal handler may close an engine while the thread that it interrupts opens another.
        self._lock = threading.RLock()

    def take(self) -> Clock:
        """The clock, for one more user."""
        with self._lock:
            self._users += 1
            try:
                if self._clock is None:
                    self._clock = Clock(self._device)
                return self._clock
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Remove a user. The last one destroys stream and anchor."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._clock is not None:
                self._clock.close()
                self._clock = None


@cache
def shared_clock(device: CudaDevice) -> SharedClock:
    """The only clock of ``device``."""
    return SharedClock(device)


def _window_s(anchor: ClockAnchor) -> float:
    return anchor.window_s
