"""The GPU's clock on the host: anchors, each the time of one event on both clocks."""

from __future__ import annotations

from math import inf
from time import perf_counter
from typing import Any, NamedTuple

from .device import NON_BLOCKING, CudaDevice
from .waits import is_reached, wait_in_c

#: An anchor is renewed after this time, in which the clocks drift apart by microseconds.
_ANCHOR_LIFE_S = 1.0

#: An idle stream reaches an event in about 10 microseconds. The middle of a window is wrong by half of it at most.
_WINDOW_S = 5e-5
_TRIES = 4

#: How far the two clocks drift apart, in seconds per second, and how wide a window that may excuse.
_DRIFT = 5e-5
_WIDEST_S = 5e-4


class ClockAnchor(NamedTuple):
    """An event that the GPU reached at ``host_s``, in the middle of a window that the host saw."""

    event: Any
    host_s: float
    window_s: float


class Clock:
    """Anchors, renewed every second. An event that the GPU was slow to reach sets no clock.

    The driver gives elapsed times as 32-bit floats: an hour after the anchor, their resolution is 0.25 ms.
    """

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._stream = device.driver.Stream(NON_BLOCKING)
        self._anchor = self._first()
        self._set_s = perf_counter()

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
        best = self._try(_WINDOW_S, patient=True)
        for _ in range(_TRIES - 1):
            best = min(best, self._try(_WINDOW_S, patient=True), key=lambda found: found.window_s)
        return best

    def _renewed(self, known: ClockAnchor) -> ClockAnchor:
        """A good anchor, or ``known`` if the GPU is slow; after long, one better than what drift has made of it."""
        drift_s = _DRIFT * (perf_counter() - known.host_s)
        limit_s = max(_WINDOW_S, known.window_s, min(drift_s, _WIDEST_S))
        for _ in range(_TRIES):
            found = self._try(limit_s, patient=False)
            if found.window_s <= limit_s:
                return found
        return known

    def _try(self, limit_s: float, *, patient: bool) -> ClockAnchor:
        """An anchor. This thread keeps the interpreter for ``limit_s``: giving it up would widen the window.

        After that time a ``patient`` try goes on, and any other has an endless window.
        """
        event = self._device.driver.Event()
        begun_s = perf_counter()
        event.record(self._stream)
        while not is_reached(self._device, event.query):
            if perf_counter() - begun_s > limit_s:
                if not patient:
                    return ClockAnchor(event, begun_s, inf)
                wait_in_c(self._device, event.synchronize)
        window_s = perf_counter() - begun_s
        return ClockAnchor(event, begun_s + window_s / 2, window_s)
