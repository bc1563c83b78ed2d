"""The interface between the ring and a backend, in CUDA's terms: streams, events, and a lane of slots.

A backend that is not asynchronous uses the streams and events of ``mostnet.engine.host_streams``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mostnet.contract import ENHANCED, FLOW, MASK, DeviceError, Frame, Metadata


class DeviceLostError(DeviceError):
    """The device is lost: nothing runs on it any more, and no call of this process on it will succeed."""


class Event(Protocol):
    """A point in a stream's order, recorded once per frame. A wait refers to the latest ``record`` before the wait."""

    @property
    def time_s(self) -> float:
        """When the event was last reached, on the clock of ``time.perf_counter``."""

    def since_ms(self, earlier: Any) -> float:
        """Time from ``earlier``, an event of the same lane, to this one; both were reached, in that order."""

    def query(self) -> bool:
        """True once the latest record is reached, or if there is no record yet."""

    def wait(self, timeout_ms: float | None) -> bool:
        """Block the calling thread until the latest record is reached; false if ``timeout_ms`` passes first.

        Without a limit a signal handler may have to wait too.
        """


class Stream(Protocol):
    """Work runs in the order it was submitted, by one thread at a time. Events belong to the same lane."""

    def run(self, work: Callable[[Stream], None]) -> None:
        """Call ``work(self)`` in order. ``work`` raises nothing."""

    def record(self, event: Any) -> None:
        """Mark ``event`` as reached when all work submitted so far is done."""

    def wait(self, event: Any) -> None:
        """Hold back work submitted later until the latest record of ``event`` is reached."""

    def drain(self, timeout_ms: float | None) -> bool:
        """Block the calling thread until all submitted work is done; false if ``timeout_ms`` passes first."""

    def close(self) -> None:
        """Take no more work, and return without waiting. Work already submitted is still done."""


class Streams(NamedTuple):
    """The three streams of a lane. They may be the same stream."""

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
    """Outputs of one frame as ``Output`` describes them; None for an output that was not asked for.

    They are NumPy arrays, or ``DeviceArray`` from a lane whose results stay on the device.
    """

    enhanced: Any
    flow: Any
    mask: Any
    finite: bool

    @classmethod
    def of(cls, found: Mapping[str, Any], *, finite: bool) -> Result:
        """The result with the outputs ``found``, by name."""
        return cls(found.get(ENHANCED), found.get(FLOW), found.get(MASK), finite)


class DeviceFrame(NamedTuple):
    """A checked frame in device memory: uint8 ``(H, W, 3)``, contiguous. ``owner`` keeps the memory alive."""

    address: int
    owner: object


class Lane(Protocol):
    """One session's slots on one backend. Everything is allocated when the lane is made, at fixed addresses.

    Slot ``k`` owns its input, its outputs and the state that it writes. It reads the state of slot ``k - 1``; slot 0
    reads the state of the last slot. The state is zero at first. ``stream.run`` calls ``upload``, ``clear_state``,
    ``execute`` and ``download``, which do their work or enqueue it on ``stream``. Enqueued work may fail later, in a
    wait or a query, and the device is lost then. Events, streams and the lane are only used in ``with lane.active():``.

    Errors of work, waits and queries:
        DeviceLostError: the lane can only be closed.
    """

    @property
    def slots(self) -> int:
        """Number of slots, at least 2."""

    def active(self) -> AbstractContextManager[None]:
        """Make the lane's device current in the calling thread, for the length of a call. Reentrant."""

    def event(self) -> Event:
        """A new event for the streams of this lane."""

    def open_streams(self, *, pipelined: bool) -> Streams:
        """Streams for one frame at a time, or for overlapping frames; the ring closes and drains pipelined ones."""

    def host_input(self, slot: int) -> Frame:
        """The memory that the frame is written to; the same array each time, contiguous.

        The array keeps its memory alive after the lane is closed: it is lent to callers.
        """

    def upload(self, slot: int, stream: Stream) -> None:
        """Copy the host input to the device."""

    def adopt(self, frame: object, stream: Stream) -> DeviceFrame:
        """Check a frame in device memory, and make ``stream``, which will copy it, wait for its producer.

        Raises:
            FrameError: the frame does not fit, or this lane takes no frames in device memory.
        """

    def upload_from(self, slot: int, frame: DeviceFrame, stream: Stream) -> None:
        """Copy an adopted frame on the device, in place of ``upload``."""

    def clear_state(self, slot: int, stream: Stream) -> None:
        """Zero all of the state that ``slot`` wrote."""

    def execute(self, slot: int, stream: Stream) -> None:
        """Run the network."""

    def download(self, slot: int, stream: Stream) -> None:
        """Copy to the host ``finite``, and the outputs that belong there by the ``results`` of ``Model.lane``."""

    def result(self, slot: int) -> Result:
        """Hand over the result after ``download``, once per frame; if not owned, it is valid until the next frame."""

    def close(self) -> None:
        """Free everything; no work may be pending. The caller may have entered ``active`` or not."""


class Model(Protocol):
    """An opened model file. All lanes made from it share its weights."""

    @property
    def metadata(self) -> Metadata:
        """The description in the file."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def provider(self) -> str:
        """The kind of device that runs it: ``cpu`` or ``cuda``."""

    @property
    def device(self) -> int | None:
        """CUDA's number of the GPU that runs it; None on the CPU."""

    def lane(self, slots: int, outputs: Sequence[str], *, results: str = "owned") -> Lane:
        """A new lane that hands over ``outputs``; ``results`` as in ``Options``.

        Raises:
            NoGpuError: ``results`` is ``device``, and the model runs on the CPU.
            DeviceMemoryError: its buffers do not fit.
        """

    def close(self) -> None:
        """Release the weights; a lane still open keeps them until it is closed."""
