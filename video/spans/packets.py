"""Times and sound of a video file, without decoding its frames."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av

from mostnet.contract import VideoError
from mostnet.video.decode import FileSource
from mostnet.video.files.sequences import find_pictures
from mostnet.video.timing import FrameClock

#: Codecs of which each packet is one frame.
_FRAME_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg2video", "mjpeg", "prores", "dnxhd")


class PacketReader(FileSource):
    """Reads the packets of a file in its order, and decodes only the first frame."""

    def __init__(self, path: str | Path, *, fps: Fraction | None = None, with_sound: bool = False) -> None:
        """Open the file; the arguments are those of ``VideoReader``, and so are the errors."""
        self._ahead: list[av.Packet | None] = []  # read for the first frame
        self._is_opening = True
        super().__init__(path, fps=fps, with_sound=with_sound)
        self._is_opening = False
        assert self._first is not None
        stamp = self._stamp(self._first)
        self._clock = FrameClock(self.fps, start=stamp)
        self.sound.pictures.begin(stamp, Fraction(0))

    def times(self) -> Iterator[Fraction | None]:
        """Yield when the frame of each packet is shown, in seconds since the first frame; None if it has no stamp.

        The sound of ``sound`` is read on the way.
        """
        for packet in self._from_first():
            if packet is not None and not packet.is_discard:
                yield self._clock.since_start(self._stamp(packet))

    def is_sound(self, times: Sequence[Fraction]) -> bool:
        """Whether the file is whole, and nothing in it makes its frames others than those of ``times``, sorted.

        Call it after ``times`` has come to its end. Damage inside a packet is found only by decoding.
        """
        if self._damage is not None or self._parts.jumps or self._deinterlacer.is_on:
            return False
        if self._stream.codec_context.name not in _FRAME_CODECS or times[0] != 0:
            return False
        self._decoded, self._end = len(times), times[-1] + 1 / self.fps
        return not self._is_short(self._promised()) and all(one < next_one for one, next_one in pairwise(times))

    def _from_first(self) -> Iterator[av.Packet | None]:
        """All packets of the pictures, and None at the end; they are not decoded."""
        return itertools.chain(self._ahead, self._rest)

    def _packets(self) -> Iterator[av.Packet | None]:
        """See ``FileSource``."""
        self._rest = super()._packets()
        for packet in self._rest:
            if self._is_opening:
                self._ahead.append(packet)
            yield packet


def frame_times(
    video: Path, *, fps: Fraction | None = None, between: Callable[[], object] | None = None
) -> tuple[Fraction, ...] | None:
    """Times of all frames of a file, in seconds since the first, rising; None if its packets do not tell them surely.

    That is so for pipes, pictures, joined recordings, interlaced or damaged video, and packets without time stamps.
    ``between`` is called after each frame, and ends the work if it raises.

    Raises:
        VideoError: the file cannot be opened.
    """
    if not video.is_file() or find_pictures(video) is not None:
        return None
    reader = PacketReader(video, fps=fps)
    try:
        times = []
        for time_s in reader.times():
            times.append(time_s)
            if between is not None:
                between()
        known = sorted(time_s for time_s in times if time_s is not None)
        return tuple(known) if len(known) == len(times) and reader.is_sound(known) else None
    except av.FFmpegError as error:
        raise VideoError(f"{video}: cannot be read ({error.strerror}); give a video file") from error
    finally:
        reader.close()
