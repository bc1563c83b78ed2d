"""Short runs of frames from anywhere in a video, without reading all that lies between them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
from av.format import Flags as FormatFlags

from mostnet.contract import Frame, VideoError
from mostnet.video.decode import FileSource
from mostnet.video.decoding.deinterlace import Deinterlacer
from mostnet.video.files.sequences import find_pictures
from mostnet.video.reader import VideoReader
from mostnet.video.timing import FrameClock

#: Most frames that are decoded on the way to an excerpt, from the key frame before it or from the start of the video.
MOST_SKIPPED = 300

TimedFrames = Iterator[tuple[Fraction, Frame]]
Shown = TypeVar("Shown")


class Excerpts:
    """Reads runs of frames of a video; times and pictures are those of ``VideoReader``.

    Attributes:
        path: the video.
        seeks: whether the video can be entered anywhere. A video without time stamps, or whose clock may jump, or of
            pictures, cannot: it is read from its start.
        pixel_aspect: width over height of one pixel.
        period_s: distance of the frames, in seconds.
    """

    def __init__(self, path: Path, *, fps: Fraction | None = None) -> None:
        """Open the video; ``fps`` as for ``VideoReader``.

        Raises:
            VideoError: it cannot be opened.
            OSError: its folder cannot be read.
        """
        self.path, self._fps = path, fps
        self._file = _SeekingFile(path, fps=fps) if find_pictures(path) is None else None
        self.seeks = self._file is not None and self._file.seeks
        opened = self._file or VideoReader(path, fps=fps)
        self.pixel_aspect, self.period_s = opened.pixel_aspect, 1 / opened.fps

    def shown_from(self, begin_s: Fraction) -> TimedFrames:
        """Yield time and frame, uint8 ``(H, W, 3)`` BGR, from ``begin_s`` on, counted from the first frame.

        It yields nothing if that is more than ``MOST_SKIPPED`` frames behind the place where reading can begin. End one
        such loop before the next.

        Raises:
            VideoError: the video cannot be read there.
        """
        least_s = begin_s - self.period_s / 2
        if self._file is None or not self._file.seeks:
            yield from _after(least_s, self._from_start())
            return
        for time_s, picture in _after(least_s, self._file.pictures_near(begin_s)):
            yield time_s, self._file.bgr(picture)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Excerpts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _from_start(self) -> TimedFrames:
        with VideoReader(self.path, fps=self._fps) as reader:
            yield from reader.timed()


class _SeekingFile(FileSource):
    """A file that can be entered at any of its key frames."""

    def __init__(self, path: Path, *, fps: Fraction | None) -> None:
        super().__init__(path, fps=fps)
        self._start_s = self._stamp(self._first)
        jumps = self._has(FormatFlags.ts_discont) or self._has(FormatFlags.no_timestamps)
        self.seeks = not jumps and self._start_s is not None

    def pictures_near(self, begin_s: Fraction) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """Yield time and picture from the key frame before ``begin_s`` on; those that do not decode are left out.

        Raises:
            VideoError: the file cannot be entered or read on there.
        """
        assert self._start_s is not None and self._stream.time_base is not None
        clock = FrameClock(self.fps, start=self._start_s)
        deinterlacer = Deinterlacer(self._name)
        try:
            self._container.seek(int((self._start_s + begin_s) / self._stream.time_base), stream=self._stream)
            for packet in self._container.demux(self._stream):
                for decoded in self._decoded_of(packet):
                    for picture in deinterlacer.feed(decoded):
                        yield clock.time_of(self._stamp(picture)), picture
            for picture in deinterlacer.flush():
                yield clock.time_of(self._stamp(picture)), picture
        except av.FFmpegError as error:
            raise VideoError(
                f"{self._name}: cannot be read from {float(begin_s):.2f} s on ({error.strerror}); copy the file again "
                "from its source"
            ) from error

    def _decoded_of(self, packet: av.Packet) -> list[av.VideoFrame]:
        try:
            return list(self._stream.decode(packet))
        except av.FFmpegError:  # ``run`` has said that the video is damaged
            return []


def _after(least_s: Fraction, shown: Iterator[tuple[Fraction, Shown]]) -> Iterator[tuple[Fraction, Shown]]:
    """The frames from ``least_s`` on; none if more than ``MOST_SKIPPED`` come before."""
    skipped = 0
    for time_s, frame in shown:
        if time_s >= least_s:
            yield time_s, frame
        elif (skipped := skipped + 1) > MOST_SKIPPED:
            return
