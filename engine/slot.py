"""One slot of the ring: its three stages, and the frame in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .interfaces import DeviceFrame, Event, Stream


class Timing(NamedTuple):
    """The parts of one frame's latency, in milliseconds."""

    copy_in_ms: float
    compute_ms: float
    copy_out_ms: float
    latency_ms: float


class Stage(NamedTuple):
    """One of a slot's three stages: the events before and after its work."""

    begun: Event
    ended: Event

    def enqueue(self, stream: Stream, work: Callable[[Stream], None]) -> None:
        """Put ``work`` on ``stream``, between the events."""
        stream.record(self.begun)
        stream.run(work)
        stream.record(self.ended)

    @property
    def duration_ms(self) -> float:
        """How long the stage took the last time."""
        return self.ended.since_ms(self.begun)


@dataclass(slots=True, eq=False)
class Slot:
    """A slot and the frame in it.

    Attributes:
        index: position of the slot in the ring.
        sequence: position of the frame in the ring's order; the frame after a failed one takes its position.
        frame_id, timestamp: as in ``Output``.
        handed_s, copied_s: when the frame was handed in, and how long its copy into the slot took.
        reset: the frame starts from zero state.
        source: the frame on the device, kept until it is copied; None for a frame on the host.
        error: the error that a stage raised.
    """

    index: int
    copy_in: Stage
    compute: Stage
    copy_out: Stage
    sequence: int = -1
    frame_id: int = -1
    timestamp: object = None
    handed_s: float = 0.0
    copied_s: float = 0.0
    reset: bool = False
    source: DeviceFrame | None = None
    error: BaseException | None = None

    @property
    def events(self) -> tuple[Event, ...]:
        """All events of the slot."""
        return tuple(
            event for stage in (self.copy_in, self.compute, self.copy_out) for event in (stage.begun, stage.ended)
        )

    def timing(self) -> Timing:
        """The parts of the latency of the frame, which must be done."""
        return Timing(
            self.copied_s * 1e3 + self.copy_in.duration_ms,
            self.compute.duration_ms,
            self.copy_out.duration_ms,
            (self.copy_out.ended.time_s - self.handed_s) * 1e3,
        )

    def take_error(self) -> BaseException | None:
        """Return the error and forget it: its traceback keeps every stack frame in it alive."""
        error, self.error = self.error, None
        return error
