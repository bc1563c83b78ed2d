"""The two ends of a run: frames for the engine, pictures of its results."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

from mostnet.contract import VideoError
from mostnet.engine import Output

from .colour import Bgr
from .flow_colour import FlowScale
from .layouts import Layout
from .reader import VideoReader
from .resize import resize_output, to_engine
from .writer import VideoWriter

#: A frame of the video with its time in seconds; it travels through the engine as the frame's timestamp.
Original = tuple[Fraction, Bgr]


class Source:
    """Frames at the engine's size, each with its original.

    A failure of the video ends the frames and is kept for ``finish``: every frame before it is still to be shown.
    """

    def __init__(self, reader: VideoReader, size_hw: tuple[int, int], limit: int | None) -> None:
        self._reader = reader
        self._size_hw = size_hw
        self._limit = limit
        self._failure: VideoError | None = None
        counts = [count for count in (reader.frame_count, limit) if count is not None]
        self.expected = min(counts) if counts else None

    def __iter__(self) -> Iterator[tuple[Bgr, Original]]:
        try:
            for time_s, frame in itertools.islice(self._reader.timed(), self._limit):
                yield to_engine(frame, self._size_hw), (time_s, frame)
        except VideoError as error:
            self._failure = error

    def finish(self) -> VideoError | None:
        """What was wrong with the frames read, of which there may be more to come; no thread reads them any more."""
        try:
            self._reader.check()
        except VideoError as error:
            return self._failure or error
        return self._failure


class Sink:
    """Draws results over their originals and writes them."""

    def __init__(self, path: Path, reader: VideoReader, layout: Layout, scale: FlowScale, crf: int) -> None:
        self._layout = layout
        self._scale = scale
        size_hw = layout.size_hw(reader.size_hw)
        self._writer = VideoWriter(path, reader.fps, size_hw, crf=crf, pixel_aspect=reader.pixel_aspect)
        self.heals = 0

    @property
    def frames(self) -> int:
        """Frames written."""
        return self._writer.frames_written

    def show(self, output: Output) -> None:
        """Resize ``output`` to its original, draw and write it."""
        time_s, frame = cast(Original, output.timestamp)
        sized = resize_output(output, frame.shape[:2])
        if sized.flow is not None:
            self._scale.follow(sized.flow)
        self._writer.write(self._layout.draw(frame, sized, flow_max_px=self._scale.max_px), time_s=time_s)
        self.heals += not output.finite

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
