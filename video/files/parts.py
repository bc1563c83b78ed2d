"""Recordings that were joined, for instance by ``cat``: each part begins its clock anew, and the times must go on."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av

_LOG = logging.getLogger(__name__)

#: A pause longer than this is a jump of the clock, in formats whose clock may jump; FFmpeg has the same limit.
_LEAP_S = 10
#: Most frame periods, and at least this time, by which frames are stored out of order.
_REORDER, _REORDER_S = 17, 1
#: After a jump, this many packets may show that a single stamp was damaged.
_DOUBT = 12
#: A splice in MPEG-TS looks like damage to this many packets before it.
_SPLICED = 2


@dataclass
class _Clock:
    """What is added to stamps, and the latest sum so far; both in ticks of the stream's time base."""

    offset: int
    latest: int

    def distance(self, stamp: int) -> int:
        return stamp + self.offset - self.latest


class JoinedParts:
    """Moves the time stamps of each later part to one period after the part before.

    Attributes:
        jumps: jumps of the clock so far. After one, the duration in the file's header means nothing.
    """

    def __init__(self, stream: av.VideoStream, period_s: Fraction, name: str, *, leaps: bool) -> None:
        """``leaps``: a long pause is a jump too, because the format lets clocks jump (MPEG-TS, MPEG-PS, Ogg)."""
        self._tick_s = Fraction(stream.time_base or 1)
        self._name = name
        self._period = max(1, round(period_s / self._tick_s))
        self._reorder = max(_REORDER * self._period, round(_REORDER_S / self._tick_s))
        self._leap = max(round(_LEAP_S / self._tick_s), 5 * self._period) if leaps else None
        self._clock: _Clock | None = None
        self._before: _Clock | None = None  # while a jump may turn out to be one damaged stamp
        self._doubted = 0
        self._slack = self._period / 2  # how surely a clock must fit; frames out of order blur it
        self._decoding: int | None = None  # of the packet before, as the file has it
        self._start = 0
        self._jump_at = 0
        self._is_said = False
        self.jumps = 0

    @property
    def moved_s(self) -> Fraction:
        """What is added to the stamps of the newest packet, in seconds."""
        return Fraction(0) if self._clock is None else self._clock.offset * self._tick_s

    def mend(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        """Yield the packets, two of them late, in file order."""
        waiting: deque[av.Packet] = deque()
        for packet in packets:
            if self._place(packet):
                for spliced in waiting:
                    spliced.is_corrupt = False
            waiting.append(packet)
            if len(waiting) > _SPLICED:
                yield waiting.popleft()
        yield from waiting
        self._say()

    def _place(self, packet: av.Packet) -> bool:
        """Move the packet's stamps; return whether a part begins with it."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None:
            return False
        if self._clock is None:
            self._clock, self._start = _Clock(0, stamp), stamp
        if not packet.is_keyframe:
            self._slack = self._reorder
        self._settle(stamp)
        jumped = self._is_jump(self._clock.distance(stamp), packet)
        if jumped:
            self._say()
            self.jumps += 1
            self._before, self._doubted = self._clock, 0
            self._jump_at = self._clock.latest + self._period
            self._clock = _Clock(self._jump_at - stamp, self._jump_at)
        self._clock.latest = max(self._clock.latest, stamp + self._clock.offset)
        packet.pts = None if packet.pts is None else packet.pts + self._clock.offset
        packet.dts = None if packet.dts is None else packet.dts + self._clock.offset
        return jumped

    def _is_jump(self, step: int, packet: av.Packet) -> bool:
        rises = self._rises(packet)
        if self._leap is not None and step > self._leap:
            return True
        if rises:
            return False
        # No frame is shown before a key frame that it follows in the file.
        return step < -self._reorder or (packet.is_keyframe and step < -self._period / 2)

    def _rises(self, packet: av.Packet) -> bool:
        """Whether decoding times go on: a frame shown before a pause may follow one that is shown after it."""
        before, self._decoding = self._decoding, packet.dts
        return before is not None and packet.dts is not None and packet.dts > before

    def _settle(self, stamp: int) -> None:
        """Go back to the clock before the last jump if ``stamp`` fits that one: a single stamp was damaged."""
        assert self._clock is not None
        if self._before is None:
            return
        self._doubted += 1
        old, new = self._before.distance(stamp), self._clock.distance(stamp)
        if old > 0 and abs(new) - old > self._slack:
            self.jumps -= 1
            self._clock, self._before = self._before, None
        elif self._doubted > _DOUBT:
            self._say()

    def _say(self) -> None:
        if self._before is None:
            return
        self._before = None
        if not self._is_said:
            self._is_said = True
            seconds = float((self._jump_at - self._start) * self._tick_s)
            _LOG.warning(
                "%s: its clock jumps at %.2f s, as in joined recordings; the times go on from there",
                self._name,
                seconds,
            )
