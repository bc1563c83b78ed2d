"""Decode a video file: yield every frame that decodes, then raise an error if any did not."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.format import Flags as FormatFlags
from av.stream import Disposition

from mostnet.contract import Frame, VideoError
from mostnet.video.decoding.deinterlace import Deinterlacer
from mostnet.video.decoding.remarks import Remarks, say_choice, say_left_out, true_aspect
from mostnet.video.files.opening import open_video, source_name
from mostnet.video.files.parts import JoinedParts
from mostnet.video.sound.source import SoundSource

from .colour import to_bgr
from .timing import FrameClock, choose_rate, is_doubtful, measured_rate, nominal_rate, promised_seconds

_LOG = logging.getLogger(__name__)

Signs = npt.NDArray[np.int64]

#: Codecs that decode any text file as ASCII art.
_TEXT_CODECS = ("ansi", "bintext", "idf", "xbin")
#: Formats in which a joined part may be left unread, and the share of the file that then follows the last packet.
_JOINED_UNREAD, _UNREAD_SHARE = ("matroska,webm", "flv", "asf"), 0.2
#: Packets whose time stamps tell the frame rate if the header may be wrong.
_MEASURED = 60


class FileSource:
    """Frames of a file or pipe, read with PyAV; ``VideoReader`` documents the behaviour."""

    def __init__(
        self,
        path: str | Path,
        *,
        fps: Fraction | None = None,
        stop: Callable[[], bool] | None = None,
        with_sound: bool = False,
    ) -> None:
        self._name = source_name(path)
        self._container, self._pipe = open_video(path, stop=stop)
        try:
            self._stream = self._video_stream()
            self._begin_reading(with_sound=with_sound)
            self._begin_clock(fps)
            self._begin_decoding()
            self._first: av.VideoFrame | None = self._first_frame()
            self._take_shape_of(self._first)
        except BaseException:
            self.close()
            raise
        self.frame_count = self._promised()

    def _begin_reading(self, *, with_sound: bool) -> None:
        self.sound = SoundSource(self._name, self._container.streams.audio if with_sound else ())
        if with_sound:
            say_left_out(self._name, self._container)
        self._remarks = Remarks(self._name, self._stream)
        self._damage: tuple[Fraction | None, str] | None = None
        self._decoded = self._read_to = 0
        self._read = self._demux()

    def _begin_clock(self, wanted: Fraction | None) -> None:
        self._is_timeless = False
        self.fps = self._rate(wanted)
        self._clock = FrameClock(self.fps)
        self._end = Fraction(0)

    def _begin_decoding(self) -> None:
        leaps = self._has(FormatFlags.ts_discont)
        self._parts = JoinedParts(self._stream, 1 / self.fps, self._name, leaps=leaps)
        self._deinterlacer = Deinterlacer(self._name)
        self._frames = self._decode()

    def _first_frame(self) -> av.VideoFrame:
        for frame in self._frames:
            return frame
        if self.stopped:
            raise VideoError(f"{self._name}: stopped before the first frame")
        raise VideoError(f"{self._name}: no frame in it decodes; copy the file again from its source")

    def _take_shape_of(self, first: av.VideoFrame) -> None:
        self._is_scaled = False
        self._matrix = _display_matrix(first)
        self._coded_hw = (first.height, first.width)
        turned = self._matrix[0, 0] == 0
        self.size_hw = self._coded_hw[::-1] if turned else self._coded_hw
        aspect = true_aspect(self._stream, self._name)
        self.pixel_aspect = 1 / aspect if turned else aspect

    def pictures(self) -> Iterator[tuple[Fraction, Frame]]:
        """Yield (seconds since the first frame, uint8 ``(H, W, 3)`` BGR); see ``VideoReader.timed`` for errors."""
        first, self._first = self._first, None
        if first is not None:
            yield self._picture(first)
        for frame in self._frames:
            yield self._picture(frame)

    def check(self) -> None:
        """Raise for damage among the frames read so far; see ``VideoReader.check``."""
        if self._damage is None:
            return
        at = self._clock.since_start(self._damage[0])
        # The decoder is some packets ahead of its frames: damage after the last frame read does not count.
        if at is None or at < self._end:
            raise self._damaged(f"reading stopped after {self._decoded} frames")

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        if self._pipe is not None:
            self._pipe.close()

    @property
    def stopped(self) -> bool:
        """Whether a pipe was left before its end."""
        return self._pipe is not None and self._pipe.stopped

    def _rate(self, wanted: Fraction | None) -> Fraction:
        name = self._container.format.name
        free = self._has(FormatFlags.no_timestamps) or name.endswith("_pipe")
        measured = None
        if not free and is_doubtful(self._stream, joined=self._has(FormatFlags.ts_discont)):
            head = list(itertools.islice(self._read, _MEASURED))
            measured = measured_rate(head, self._stream)
            self._read = itertools.chain(head, self._read)
        self._is_timeless = free and wanted is not None
        stated = nominal_rate(self._stream)
        rate = choose_rate(stated, measured, wanted, free=free, name=self._name)
        self._counted = self._stream.frames if rate == stated else 0  # AVI counts empty frames of a false rate
        return rate

    def _has(self, flag: FormatFlags) -> bool:
        return bool(self._container.format.flags & flag.value)

    def _picture(self, frame: av.VideoFrame) -> tuple[Fraction, Frame]:
        stamp = self._stamp(frame)
        time_s = self._clock.time_of(stamp)
        self.sound.pictures.begin(stamp, time_s)
        self._say_scaled(frame, time_s)
        self._end = time_s + 1 / self.fps
        self._remarks.look(frame)
        return time_s, self.bgr(frame)

    def bgr(self, frame: av.VideoFrame) -> Frame:
        """A decoded picture as uint8 ``(H, W, 3)`` BGR, turned as the file says, at the size of the first."""
        return _orient(to_bgr(frame, self._coded_hw), self._matrix)

    def _say_scaled(self, frame: av.VideoFrame, time_s: Fraction) -> None:
        if (frame.height, frame.width) == self._coded_hw or self._is_scaled:
            return
        self._is_scaled = True
        first = f"{self._coded_hw[0]}x{self._coded_hw[1]}"
        _LOG.warning(
            "%s: the picture is %dx%d from %s on, scaled to the first frame's %s",
            *(self._name, frame.height, frame.width, self._place(time_s), first),
        )

    def _video_stream(self) -> av.VideoStream:
        streams = [stream for stream in self._container.streams.video if _is_video(stream)]
        if streams:
            say_choice(self._name, streams)
            # With slice threads libavcodec conceals damage and does not flag the picture.
            streams[0].thread_type = "NONE"
            return streams[0]
        raise VideoError(f"{self._name}: there is no video in this file; give a file with a video stream")

    def _decode(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            try:
                frames = self._stream.decode(packet)
            except av.FFmpegError as error:
                self._note(self._stamp(packet), error.strerror or str(error))
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._note(self._stamp(frame), "the picture is incomplete")
                self._decoded += 1
                yield from self._deinterlacer.feed(frame)
        yield from self._deinterlacer.flush()
        self._check_complete()

    def _packets(self) -> Iterator[av.Packet | None]:
        """Packets of the pictures in file order, then None, which flushes the decoder."""
        for packet in self._parts.mend(self._read):
            self.sound.pictures.move(self._parts.moved_s, self._stamp(packet))
            if packet.is_corrupt and not self.stopped:
                self._note(self._stamp(packet), "the data is damaged or cut off")
            yield packet
        yield None

    def _demux(self) -> Iterator[av.Packet]:
        """Packets of the pictures in file order; those of the sound go to ``sound``."""
        try:
            for packet in self._container.demux([self._stream, *self.sound.streams]):
                if not packet.size:
                    continue
                self._read_to = (packet.pos or 0) + packet.size
                if packet.stream_index != self._stream.index:
                    self.sound.put(packet)
                elif not self._is_header(packet):
                    yield packet
        except av.FFmpegError as error:
            self._note(None, error.strerror or str(error))
        if self._pipe is not None:
            self._pipe.check()

    def _is_header(self, packet: av.Packet) -> bool:
        """Whether the packet is no picture but a header of Theora, which each part of a joined Ogg repeats."""
        return self._stream.codec_context.name == "theora" and bool(bytes(packet)[0] & 0x80)

    def _stamp(self, item: av.VideoFrame | av.Packet | None) -> Fraction | None:
        """Presentation time in seconds on the file's own clock.

        It is counted in the stream's time base, because frames flushed from the decoder carry none of their own.
        """
        if item is None or item.pts is None or self._stream.time_base is None or self._is_timeless:
            return None
        return Fraction(item.pts * self._stream.time_base)

    def _note(self, stamp: Fraction | None, reason: str) -> None:
        """Keep the damage with the earliest time. It may be found last, and most other damage results from it."""
        before = self._damage
        if before is None or (stamp is not None and before[0] is not None and stamp < before[0]):
            self._damage = (stamp, reason)

    def _check_complete(self) -> None:
        if self.stopped:
            return
        self._say_unread()
        promised = None if self._parts.jumps else self._promised()
        read = f"{self._decoded} of {promised}" if promised else f"{self._decoded}"
        if self._damage is not None:
            raise self._damaged(f"{read} frames could be read")
        if self._is_short(promised):
            raise VideoError(
                f"{self._name}: ends at {self._place(self._end)}, earlier than its header says; {read} frames could "
                "be read; copy the file again from its source"
            )

    def _say_unread(self) -> None:
        """FFmpeg reads one part of a joined FLV or ASF, and two of a joined Matroska."""
        size = 0 if self._pipe is not None else self._container.size
        if self._container.format.name in _JOINED_UNREAD and size - self._read_to > _UNREAD_SHARE * size:
            _LOG.warning(
                "%s: the end of the file is not read, as after joining recordings; join them with ffmpeg -f concat",
                self._name,
            )

    def _damaged(self, read: str) -> VideoError:
        assert self._damage is not None
        stamp, reason = self._damage
        at = self._clock.since_start(stamp)
        place = self._place(self._end if at is None else max(at, Fraction(0)))
        return VideoError(f"{self._name}: damaged at {place}: {reason}; {read}; copy the file again from its source")

    def _place(self, seconds: Fraction) -> str:
        return f"frame {round(seconds * self.fps)} ({float(seconds):.2f} s)"

    def _is_short(self, promised: int | None) -> bool:
        """Whether the file ends early, by frame count *and* by time.

        Either alone misleads: an edit list hides counted frames, and sound may outlast the picture. The check tolerates
        a few missing frames, and a whole second if the duration covers picture and sound together.
        """
        if promised is None:
            return False
        seconds, own = promised_seconds(self._container, self._stream)
        slack = max(3 / self.fps, Fraction(1, 10)) if own else Fraction(1)
        fewer = self._decoded < promised - 2
        return fewer and seconds is not None and self._lead() + self._end < seconds - slack

    def _lead(self) -> Fraction:
        """Seconds from the start of the stream to its first frame: AVI counts empty frames at the start."""
        first, start = self._clock.start, self._stream.start_time
        if first is None or start is None or self._stream.time_base is None:
            return Fraction(0)
        return Fraction(max(first - start * self._stream.time_base, 0))

    def _promised(self) -> int | None:
        """Number of frames according to the header."""
        if self._counted:
            return self._counted
        seconds, _ = promised_seconds(self._container, self._stream)
        return None if seconds is None else max(round(seconds * self.fps), 1)


def _is_video(stream: av.VideoStream) -> bool:
    if stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails):
        return False
    return stream.codec_context is not None and stream.codec_context.name not in _TEXT_CODECS


def _display_matrix(frame: av.VideoFrame) -> Signs:
    """Signs of the 2x2 part of the display matrix, which turns and mirrors the picture."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return np.eye(2, dtype=np.int64)
    fixed = np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2] / 65536
    signs: Signs = np.rint(fixed / max(np.abs(fixed).max(), 1e-9)).astype(np.int64)
    return signs


def _orient(picture: Frame, matrix: Signs) -> Frame:
    """Turn and mirror by multiples of 90 degrees: a pixel at (x, y) goes to x' = a x + c y, y' = b x + d y."""
    if matrix[0, 0] == 0:
        picture = picture.transpose(1, 0, 2)
    flip_x, flip_y = (matrix[:, axis].sum() < 0 for axis in (0, 1))
    if flip_y:
        picture = picture[::-1]
    if flip_x:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)
