"""Decode a part of a video file, from a key frame a little before it."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from mostnet.contract import Frame, VideoError
from mostnet.video.decoding.deinterlace import Deinterlacer
from mostnet.video.files.opening import STDIN, source_name

from .packets import PacketReader
from .span import Span

#: Formats that keep a time for each packet, so that packets have the same times after a seek.
_SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")
#: Frames more than the warm-up that decoding begins earlier at first: files seek by decoding times.
_MARGIN = 4
#: If that was too little, decoding begins this many times as early.
_FURTHER = 4
#: Most frames by which packets are stored out of order.
_REORDER = 17
#: A seek to this long before the first frame finds it, although its decoding time is earlier than its own.
_BEFORE_S = 10
_WHOLE = "run the whole video"

Decoded = tuple[Fraction, av.VideoFrame]


class SpanSource(PacketReader):
    """Frames of ``span``, and before them its warm-up frames: fewer only where the file begins.

    In formats whose packets may lack a time, all packets before are read, but not decoded. Times count from the first
    frame of the file. Damage before the span is not reported, and its message has the frame and second of the whole
    file.
    """

    def __init__(self, path: str | Path, span: Span, *, fps: Fraction | None = None) -> None:
        """Open the file and decode its first frame.

        Raises:
            VideoError: as ``VideoReader``; or a pipe, whose middle cannot be found.
        """
        self._span = span
        self._shown = 0
        self._is_sought = False
        self._needed: Iterator[av.Packet | None] | None = None
        if path == STDIN or Path(path).is_fifo():
            raise VideoError(f"{source_name(path)}: a part of a pipe cannot be read; give a video file")
        super().__init__(path, fps=fps)

    def pictures(self) -> Iterator[tuple[Fraction, Frame]]:
        """See ``FileSource.pictures``."""
        begin_s, end_s = self._span.begin_s, self._span.end_s
        for time_s, frame in self._warm_and_after():
            if end_s is not None and time_s >= end_s:
                self._end = end_s
                break
            self._shown += time_s >= begin_s
            yield self._picture(frame)
        if self._is_sought and self._parts.jumps:
            raise VideoError(f"{self._name}: its clock jumps, as in joined recordings; {_WHOLE}")

    def check(self) -> None:
        """See ``FileSource.check``."""
        self._decoded = self._shown
        super().check()

    def _warm_and_after(self) -> Iterator[Decoded]:
        """Frames from the first one to warm up to the end of the file."""
        back_s = (self._span.warm_up + _MARGIN) / self.fps
        while (found := self._from(self._span.begin_s - back_s)) is None:
            back_s *= _FURTHER
        yield from found

    def _from(self, time_s: Fraction) -> Iterator[Decoded] | None:
        """The frames, if decoding from a key frame before ``time_s`` on gives enough to warm up; else None."""
        from_start = time_s <= 0
        frames = self._timed(self._start() if from_start else _from_key(self._middle(time_s)))
        warm: deque[Decoded] = deque(maxlen=self._span.warm_up)
        has_earlier = False
        for decoded in frames:
            if decoded[0] >= self._span.begin_s:
                # Without an earlier frame, the first one of the span may lie before the key frame.
                is_whole = has_earlier or decoded[0] == self._span.begin_s
                is_enough = from_start or (is_whole and len(warm) == self._span.warm_up)
                return itertools.chain(warm, [decoded], frames) if is_enough else None
            warm.append(decoded)
            has_earlier = True
        if from_start:
            raise VideoError(
                f"{self._name}: ends at {self._place(self._span.begin_s)} or earlier, where a part of it should begin; "
                "copy the file again from its source"
            )
        return None

    def _start(self) -> Iterator[av.VideoFrame]:
        """All frames of the file."""
        first, self._first = self._first, None
        if first is not None:
            return itertools.chain([first], self._frames)
        assert self._clock.start is not None
        is_there = self._seek(self._clock.start - _BEFORE_S) or self._seek(self._clock.start)
        first = next(self._frames, None)
        if first is None or not is_there or self._stamp(first) != self._clock.start:
            raise VideoError(f"{self._name}: the file cannot be read again from its beginning; {_WHOLE}")
        self._is_sought = False
        return itertools.chain([first], self._frames)

    def _middle(self, time_s: Fraction) -> Iterator[av.VideoFrame]:
        """Frames from a key frame on, before ``time_s`` if the format finds it; none if the format cannot seek."""
        if self._clock.start is None:
            raise VideoError(f"{self._name}: its frames have no times, so no part of it is found; {_WHOLE}")
        is_first_try, self._first = self._first is not None, None
        if self._container.format.name in _SEEKABLE:
            return self._frames if self._seek(self._clock.start + time_s) else iter(())
        if not is_first_try:
            return iter(())  # it has read the packets before, and they did not suffice
        self._needed = self._pass_by()
        self._stream.codec_context.flush_buffers()
        self._deinterlacer = Deinterlacer(self._name)
        self._frames = self._decode()
        return self._frames

    def _pass_by(self) -> Iterator[av.Packet | None]:
        """Read to the span; return the packets from a key frame on that is early enough for its warm-up frames."""
        groups: deque[list[av.Packet | None]] = deque([[]])
        packets = self._from_first()
        for packet in packets:
            if packet is not None and packet.is_keyframe:
                groups.append([])
            groups[-1].append(packet)
            while len(groups) > 1 and sum(map(len, groups)) - len(groups[0]) > self._span.warm_up + _REORDER:
                groups.popleft()
            at = self._clock.since_start(self._stamp(packet))
            if at is not None and at >= self._span.begin_s:
                break
        return itertools.chain(*groups, packets)

    def _seek(self, stamp: Fraction) -> bool:
        """Go on near ``stamp``, if possible at a key frame before it; return whether the format can."""
        assert self._stream.time_base is not None
        try:
            self._container.seek(int(stamp // self._stream.time_base), stream=self._stream)
        except av.FFmpegError:
            return False
        self._is_sought, self._needed = True, None
        self._damage = None
        self._read = self._demux()
        self._begin_decoding()
        return True

    def _packets(self) -> Iterator[av.Packet | None]:
        """See ``FileSource``; those that are needed, if that is known."""
        return super()._packets() if self._needed is None else self._needed

    def _timed(self, frames: Iterator[av.VideoFrame]) -> Iterator[Decoded]:
        for frame in frames:
            time_s = self._clock.since_start(self._stamp(frame))
            if time_s is None:
                raise VideoError(f"{self._name}: a frame has no time, so no part of it is found; {_WHOLE}")
            yield time_s, frame

    def _note(self, stamp: Fraction | None, reason: str) -> None:
        """See ``FileSource``; what is damaged before the span belongs to the part that shows it."""
        at = None if stamp is None else self._clock.since_start(stamp)
        if at is None or at >= self._span.begin_s:
            super()._note(stamp, reason)

    def _check_complete(self) -> None:
        if not self._shown and self._damage is None:
            return  # decoding begins again, earlier in the file, or the span is not there
        self._decoded = self._shown
        super()._check_complete()

    def _promised(self) -> int:
        return self._span.frames


def _from_key(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The frames, or none if they begin with no key frame: with intra refresh, what comes first is not exact."""
    first = next(frames, None)
    return itertools.chain([first], frames) if first is not None and first.key_frame else iter(())
