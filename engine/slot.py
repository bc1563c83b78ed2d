"""One slot of the ring: its events, its work, and what is known of the frame in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .interfaces import DeviceFrame, Event, Stream


class Timing(NamedTuple):
    """Where one frame's latency went, in milliseconds."""

    copy_in_ms: float
    compute_ms: float
    copy_out_ms: float
    latency_ms: float


class Stage(NamedTuple):
    """One of a slot's three stages: its work, and the events that frame it."""

    begun: Event
    work: Callable[[Stream], None]
    ended: Event

    def enqueue(self, stream: Stream) -> None:
        """Put the stage on ``stream``."""
        stream.record(self.begun)
        stream.run(self.work)
        stream.record(self.ended)

    @property
    def duration_ms(self) -> float:
        """How long the stage took the last time."""
        return self.ended.since_ms(self.begun)


@dataclass(slots=True, eq=False)
class Slot:
    """A slot and the frame in it.

    Attributes:
        index: its place in the ring.
        sequence: position of its frame in the ring's order; a frame whose predecessor failed takes that one's place.
        frame_id, timestamp: as in ``Output``.
        handed_s, copied_s: when the frame was handed in, and how long its copy into the slot took.
        reset: the frame starts from zero state.
        source: where the frame is copied from on the device, held until it is; None for a frame of the host.
        error: what a stage raised.
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
        """Where the latency of the frame went, once it is done."""
        return Timing(
            self.copied_s * 1e3 + self.copy_in.duration_ms,
            self.compute.duration_ms,
            self.copy_out.duration_ms,
            (self.copy_out.ended.time_s - self.handed_s) * 1e3,
        )

    def take_error(self) -> BaseException | None:
        """The error, forgotten here: it holds every frame of its traceback alive."""
        error, self.error = self.error, None
        return error
