"""One frame through the ring: check it, number it, submit it, wait for it, and make an ``Output`` of its slot.

There is no lock here: ``usage`` admits one call at a time. In a call, one thread submits and one waits and takes.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np

from mostnet.contract import EngineTimeoutError, Frame, check_frame
from mostnet.engine.cuda.frame import is_on_device
from mostnet.engine.streams.pipeline import Readers

from .interfaces import DeviceFrame, Result
from .output import Counters, Output
from .ring import Ring
from .slot import Slot, Timing


class FrameRunner:
    """The steps of a frame that ``infer`` and ``stream`` have in common."""

    def __init__(self, ring: Ring, readers: Readers, counters: Counters, size_hw: tuple[int, int]) -> None:
        self._ring = ring
        self._readers = readers
        self._counters = counters
        self.size_hw = size_hw
        self._next_id = 0

    @property
    def last_id(self) -> int:
        """Number of the latest frame submitted; -1 before the first."""
        return self._next_id - 1

    def settle(self, limit_ms: float | None) -> None:
        """Wait until late frames are done and no earlier source can write to memory of the next frame.

        Raises:
            EngineTimeoutError: frames are still in flight after ``limit_ms``.
            EngineBusyError: an earlier source still holds an input buffer.
        """
        begun_s = perf_counter()
        self._readers.reclaim(limit_ms)
        if not self._ring.settled and not self._ring.settle(limit_ms):
            raise EngineTimeoutError(
                f"earlier frames of this session, up to frame {self.last_id}, are not done after another "
                f"{(perf_counter() - begun_s) * 1e3:.0f} ms (timeout_ms is {limit_ms:g}); this frame was not taken"
            )

    def submit(self, frame: object, timestamp: object, handed_s: float) -> Slot:
        """Check a frame and hand it to the next slot.

        Raises:
            FrameError: wrong shape, dtype or device, or a stale input buffer; nothing has changed.
        """
        admitted = self._admit(frame)
        frame_id = self._next_id
        self._next_id += 1
        return self._ring.submit(admitted, frame_id, timestamp, handed_s)

    def wait(self, slot: Slot, limit_ms: float | None) -> None:
        """Block until the slot's frame is done or failed.

        Raises:
            EngineTimeoutError: the frame is still in flight after ``limit_ms``.
        """
        begun_s = perf_counter()
        if not self._ring.wait(slot, limit_ms):
            raise late_error(slot.frame_id, (perf_counter() - begun_s) * 1e3, limit_ms)

    def finish(self, slot: Slot, result: Result, timing: Timing) -> Output:
        """Count the result that the ring gave for ``slot``, and return it as an ``Output``."""
        self._counters.add_frame(timing, finite=result.finite, frame_id=slot.frame_id)
        timestamp, slot.timestamp = slot.timestamp, None
        return Output(*result, slot.frame_id, timestamp, timing.latency_ms)

    def _admit(self, frame: object) -> Frame | DeviceFrame | None:
        """``frame``, checked; None if it is already in its slot."""
        if not isinstance(frame, np.ndarray) and is_on_device(frame):
            return self._ring.adopt(frame)
        checked = check_frame(frame, self.size_hw)
        return None if self._ring.owns(checked) else checked


def late_error(frame_id: int, waited_ms: float, limit_ms: float | None) -> EngineTimeoutError:
    """The exception for a frame that was not ready in time."""
    return EngineTimeoutError(
        f"frame {frame_id} was not ready after {waited_ms:.0f} ms (timeout_ms is {limit_ms:g}); "
        "its result is dropped, but the next frame continues from its state"
    )
