"""Sound packets of a file: the reading thread puts them in, and the writing thread takes them out."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av

from .clock import PictureClock, SoundClock, SoundClockError

_LOG = logging.getLogger(__name__)

#: No packet is longer: FLAC, the longest, has 65,535 samples.
_LONGEST_S = Fraction(10)
#: Most bytes of one track that wait for their pictures: an hour of compressed sound.
_MOST_BYTES = 64 << 20


class SoundTrack:
    """The packets of one sound track, in order.

    Attributes:
        stream: the stream in the file that is read.
        title: the track and its file, as messages name it.
        dropped: whether the rest of the track is left out.
    """

    def __init__(self, stream: av.AudioStream, title: str, pictures: PictureClock) -> None:
        self.stream = stream
        self.title = title
        self.dropped = False
        self._pictures = pictures
        self._clock = SoundClock(pictures)
        self._waiting: deque[tuple[av.Packet, Fraction | None]] = deque()
        self._written_s: Fraction | None = None  # end of the sound that was taken
        self._bytes_in = self._bytes_out = 0  # each is written by one thread only

    def put(self, packet: av.Packet) -> None:
        """Add the next packet of the file."""
        if self.dropped:
            return
        self._bytes_in += packet.size
        self._waiting.append((packet, self._pictures.position))
        if self._bytes_in - self._bytes_out > _MOST_BYTES:
            self.drop("the file stores it too far from its pictures")

    def first_s(self) -> Fraction | None:
        """Time of the first sound that waits, in seconds since the first picture; None if there is none yet."""
        found = self._next(None)
        return None if found is None else found[0]

    def take(self, until_s: Fraction | None) -> Iterator[tuple[Fraction, av.Packet]]:
        """Yield time and packet of all sound that starts before ``until_s``; None for all that is left.

        Times rise. Sound that overlaps what came before is left out, and so is sound before the first picture, but for
        two packets: a decoder needs one to start from.
        """
        while (found := self._next(until_s)) is not None and (until_s is None or found[0] < until_s):
            self._pass(*found)
            self._written_s = self._clock.end_s
            yield found

    def _next(self, until_s: Fraction | None) -> tuple[Fraction, av.Packet] | None:
        """Time and packet of the next sound to write; None if it is not known yet."""
        while self._waiting and not self.dropped:
            packet, position = self._waiting[0]
            try:
                time_s = self._clock.time_of(_stamp(packet), until_s, position=position)
            except SoundClockError:
                self.drop("its clock jumps where the clock of the pictures does not")
                return None
            if time_s is None:
                return None
            duration_s = duration_of(packet)
            if self._is_new(time_s, duration_s) and time_s + 2 * duration_s >= 0:
                return time_s, packet
            self._pass(time_s, packet)
        return None

    def _is_new(self, time_s: Fraction, duration_s: Fraction) -> bool:
        """Whether less than half of a packet overlaps the sound so far."""
        if self._written_s is None:
            return True
        if not duration_s:  # as for ALAC and TrueHD in Matroska, whose stamps may be equal
            return time_s >= self._written_s
        return time_s > self._written_s - duration_s / 2

    def _pass(self, time_s: Fraction, packet: av.Packet) -> None:
        """Go past the first packet that waits."""
        self._clock.advance(_stamp(packet), time_s, duration_of(packet))
        self._waiting.popleft()
        self._bytes_out += packet.size

    def drop(self, reason: str) -> None:
        """Leave out the rest of the track, and say so."""
        self.dropped = True
        self._waiting.clear()
        _LOG.warning("%s is left out from %.2f s on: %s", self.title, max(float(self._clock.end_s), 0.0), reason)


class SoundSource:
    """The sound tracks of a file.

    Attributes:
        pictures: the reader of the pictures tells it their stamps and times.
    """

    def __init__(self, name: str, streams: Sequence[av.AudioStream]) -> None:
        """Take the sound ``streams`` of the file ``name``; a stream of an unknown codec is left out, which is said."""
        self.pictures = PictureClock()
        self._by_index: dict[int, SoundTrack] = {}
        for number, stream in enumerate(streams, start=1):
            title = f"{name}: the sound" if len(streams) == 1 else f"{name}: sound track {number}"
            if stream.codec_context is None or not stream.rate:
                _LOG.warning("%s is left out: its codec is unknown or it holds nothing", title)
                continue
            self._by_index[stream.index] = SoundTrack(stream, title, self.pictures)

    @property
    def tracks(self) -> list[SoundTrack]:
        """The tracks that can be written."""
        return list(self._by_index.values())

    @property
    def streams(self) -> list[av.AudioStream]:
        """The streams of the tracks."""
        return [track.stream for track in self.tracks]

    def put(self, packet: av.Packet) -> None:
        """Add the next packet of the file."""
        self._by_index[packet.stream_index].put(packet)


def _stamp(packet: av.Packet) -> Fraction | None:
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else Fraction(ticks * packet.time_base)


def duration_of(packet: av.Packet) -> Fraction:
    """Duration in seconds; a damaged file may give any."""
    return min(max(Fraction((packet.duration or 0) * packet.time_base), Fraction(0)), _LONGEST_S)
