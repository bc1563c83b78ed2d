"""The two ends of a run: frames for the engine, pictures of its results."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

from mostnet.contract import VideoError
from mostnet.engine import Output

from .colour import Bgr
from .policies import SceneEvent, SceneGuard
from .reader import VideoReader
from .resize import to_engine


@dataclass(frozen=True, eq=False)
class Original:
    """A frame of the video; it travels through the engine as the frame's timestamp.

    Attributes:
        time_s: when it is shown, in seconds since the first.
        frame: uint8 ``(H, W, 3)`` BGR.
        event: what the frame is, compared with the one before.
    """

    time_s: Fraction
    frame: Bgr
    event: SceneEvent


def original_of(output: Output) -> Original:
    """The frame that ``output`` is the result of."""
    return cast(Original, output.timestamp)


class Source:
    """Frames at the engine's size, each with its original.

    ``reset`` is called before the first frame of a new scene is handed out, so that the engine sees it without history.
    A failure of the video ends the frames and is kept for ``finish``: every frame before it is still to be shown.
    """

    def __init__(
        self, reader: VideoReader, size_hw: tuple[int, int], limit: int | None, *, reset: Callable[[], None]
    ) -> None:
        self._reader = reader
        self._size_hw = size_hw
        self._limit = limit
        self._reset = reset
        self._guard = SceneGuard()
        self._failure: VideoError | None = None
        self.resets = 0
        counts = [count for count in (reader.frame_count, limit) if count is not None]
        self.expected = min(counts) if counts else None

    def __iter__(self) -> Iterator[tuple[Bgr, Original]]:
        try:
            for time_s, frame in itertools.islice(self._reader.timed(), self._limit):
                event = self._guard.check(frame)
                if event.resets_engine:
                    self._reset()
                    self.resets += 1
                yield to_engine(frame, self._size_hw), Original(time_s, frame, event)
        except VideoError as error:
            self._failure = error

    def finish(self) -> VideoError | None:
        """What was wrong with the frames read, of which there may be more to come; no thread reads them any more."""
        try:
            self._reader.check()
        except VideoError as error:
            return self._failure or error
        return self._failure
