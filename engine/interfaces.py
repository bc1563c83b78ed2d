"""The interface between the ring and a backend, in the terms of CUDA: streams, events, and a lane of slots.

A backend that is not asynchronous takes its streams and events from ``mostnet.engine.host_streams``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mostnet.contract import DeviceError, Metadata


class DeviceLostError(DeviceError):
    """The device failed for good: no call of this process will succeed on it, and nothing runs on it any more."""


class Event(Protocol):
    """A point in a stream's order, recorded again and again. Waits are for the latest ``record`` before the wait."""

    @property
    def time_s(self) -> float:
        """When the event was last reached, on the clock of ``time.perf_counter``."""

    def since_ms(self, earlier: Any) -> float:
        """Time from ``earlier``, an event of the same lane, to this one; both were reached, in that order."""

    def query(self) -> bool:
        """True once the latest record is reached, and before the first."""

    def wait(self, timeout_ms: float | None) -> bool:
        """Block the calling thread until the latest record is reached; false if ``timeout_ms`` passes first."""


class Stream(Protocol):
    """Work done in the order it was submitted; submitted by one thread at a time. Events are of the same lane."""

    def run(self, work: Callable[[Stream], None]) -> None:
        """Call ``work(self)`` in order. ``work`` raises nothing."""

    def record(self, event: Any) -> None:
        """Mark ``event`` as reached when all work submitted so far is done."""

    def wait(self, event: Any) -> None:
        """Hold back work submitted later until the latest record of ``event`` is reached."""

    def drain(self, timeout_ms: float | None) -> bool:
        """Block the calling thread until all submitted work is done; false if ``timeout_ms`` passes first."""

    def close(self) -> None:
        """Take no more work. What was submitted is still done. Does not wait."""


class Streams(NamedTuple):
    """The three streams of a lane. They may be one and the same."""

    copy_in: Stream
    compute: Stream
    copy_out: Stream

    def drain(self, timeout_ms: float | None) -> bool:
        """Drain all three; false if ``timeout_ms`` passes first."""
        if timeout_ms is None:
            return all(stream.drain(None) for stream in self)
        deadline_s = time.perf_counter() + timeout_ms / 1e3
        return all(stream.drain(max(0.0, (deadline_s - time.perf_counter()) * 1e3)) for stream in self)

    def close(self) -> None:
        """Close all three."""
        for stream in self:
            stream.close()


class Result(NamedTuple):
    """Outputs of one frame as ``Output`` describes them, None where not asked for.

    NumPy arrays, or ``DeviceArray`` from a lane whose results stay on the device.
    """

    enhanced: Any
    flow: Any
    mask: Any
    finite: bool


class DeviceFrame(NamedTuple):
    """A frame in device memory, checked: uint8 ``(H, W, 3)``, row by row. ``owner`` keeps the memory alive."""

    address: int
    owner: object


class Lane(Protocol):
    """One session's slots on one backend. Everything is allocated when the lane is made, at fixed addresses.

    Slot ``k`` owns its input, its outputs and the state that it writes; it reads the state of slot ``k - 1``, and slot
    0 that of the last. The state is zero at first. ``upload``, ``clear_state``, ``execute`` and ``download`` are called
    from inside ``stream.run``, and either do their work or enqueue it on ``stream``; what is enqueued may fail later,
    in a wait or a query, and then for good. Events, streams and the lane are used inside ``with lane.active():`` only.

    Errors of work, waits and queries:
        DeviceLostError: the lane can only be closed.
    """

    @property
    def slots(self) -> int:
        """Number of slots, at least 2."""

    def active(self) -> AbstractContextManager[None]:
        """Make the device that of the calling thread, for the length of a call; may be entered inside itself."""

    def event(self) -> Event:
        """A new event for the streams of this lane."""

    def open_streams(self, *, pipelined: bool) -> Streams:
        """Streams for one frame at a time, or for overlapping frames; the latter are closed and drained after use."""

    def host_input(self, slot: int) -> npt.NDArray[np.uint8]:
        """Where the frame is written, uint8 ``(H, W, 3)``; the same array each time, contiguous.

        Its memory lives as long as it does, lane or no lane: it is lent to callers.
        """

    def upload(self, slot: int, stream: Stream) -> None:
        """Bring the host input to the device."""

    def adopt(self, frame: object, stream: Stream) -> DeviceFrame:
        """Check a frame in device memory, and let ``stream``, which will copy it, wait for its producer.

        Raises:
            FrameError: it does not fit, or this lane takes none.
        """

    def upload_from(self, slot: int, frame: DeviceFrame, stream: Stream) -> None:
        """Copy an adopted frame on the device, in place of ``upload``."""

    def clear_state(self, slot: int, stream: Stream) -> None:
        """Zero the state that ``slot`` wrote, all of it."""

    def execute(self, slot: int, stream: Stream) -> None:
        """Run the network."""

    def download(self, slot: int, stream: Stream) -> None:
        """Bring to the host what ``results`` of ``Model.lane`` wants there; ``finite`` always."""

    def result(self, slot: int) -> Result:
        """Hand over what ``download`` brought, once per frame; owned, or the slot's own until its next frame."""

    def close(self) -> None:
        """Free everything. No work is under way. Entered or not."""


class Model(Protocol):
    """An opened model file: its weights, shared by the lanes made from it."""

    @property
    def metadata(self) -> Metadata:
        """What the file says of itself."""

    @property
    def provider(self) -> str:
        """What runs it: ``cpu`` or ``cuda``."""

    def lane(self, slots: int, outputs: Sequence[str], *, results: str = "owned") -> Lane:
        """A new lane that hands over ``outputs``; ``results`` as in ``Options``.

        Raises:
            NoGpuError: results are to stay on the device, and there is none.
            DeviceMemoryError: its buffers do not fit.
        """

    def close(self) -> None:
        """Let go of the weights; lanes are closed before."""
