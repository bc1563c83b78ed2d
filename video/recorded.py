"""A video file through an engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import cast

from mostnet.contract import Frame, VideoError
from mostnet.engine import Output, Session
from mostnet.video.spans.span import Span

from .fit import FrameFit
from .guards import SceneGuard
from .reader import VideoReader
from .sink import Original, Sink


class Recorded:
    """Sends every frame of a file through an engine, as fast as possible.

    Iterating yields the frames at the engine's size, each with its ``Original``. The engine is reset before the first
    frame of a new scene is yielded. An error of the reader ends the frames and is kept for ``finish``, so that every
    frame before it is still shown.

    Attributes:
        fit: where the frames lie in the engine's.
        resets: new scenes, at which the engine was reset.
        sound: the sound of the file; None without ``with_sound``.
        complete: whether all frames of the file were read.
    """

    dropped = reconnects = 0

    def __init__(
        self,
        path: str | Path,
        engine: Session,
        limit: int | None,
        *,
        fps: Fraction | float | None = None,
        stop: Callable[[], bool] | None = None,
        with_sound: bool = False,
        span: Span | None = None,
    ) -> None:
        """Open the file; ``limit`` is the most frames to read, None for all. See ``VideoReader`` for the others.

        Of a ``span``, all frames go through the engine, and only those that are no warm-up to the sink.

        Raises:
            VideoError: the file cannot be opened.
        """
        self._reader = VideoReader(path, fps=fps, stop=stop, with_sound=with_sound, span=span)
        self._begin_s = Fraction(0) if span is None else span.begin_s
        self._engine = engine
        self._limit = limit
        self._scenes = SceneGuard()
        self._failure: VideoError | None = None
        self.resets = 0
        self.complete = False
        self.size_hw, self.fps = self._reader.size_hw, self._reader.fps
        self.pixel_aspect, self.sound = self._reader.pixel_aspect, self._reader.sound
        self.fit = FrameFit(self.size_hw, engine.metadata.size_hw, self.pixel_aspect)

    def __iter__(self) -> Iterator[tuple[Frame, Original]]:
        try:
            count = 0
            for time_s, frame in itertools.islice(self._reader.timed(), self._limit):
                count += 1
                event = self._scenes.check(frame)
                if event.resets_engine:
                    self._engine.reset()
                    self.resets += time_s >= self._begin_s
                yield self.fit.to_engine(frame), Original(time_s, frame, event)
            self.complete = self._limit is None or count < self._limit
        except VideoError as error:
            self._failure = error

    def pump(
        self, sink: Sink, progress: Callable[[int, int | None], None] | None, stop: Callable[[], bool] | None
    ) -> bool:
        """Send all results to the sink; return whether ``stop`` or the window ended the run early."""
        expected = min((count for count in (self._reader.frame_count, self._limit) if count is not None), default=None)
        # Closing the stream ends its reading thread before the reader and the writer are closed.
        with closing(self._engine.stream(self)) as outputs:
            for done, output in enumerate(filter(self._is_shown, outputs), start=1):
                if (stop is not None and stop()) or sink.closed_by_user:
                    return True
                sink.show(output)
                if progress is not None:
                    progress(done, expected if expected is not None and done <= expected else None)
        return self._reader.stopped

    def _is_shown(self, output: Output) -> bool:
        """Whether the frame is no warm-up of a span."""
        return cast(Original, output.timestamp).time_s >= self._begin_s

    def finish(self) -> VideoError | None:
        """After ``pump``: return the error that ended the frames or describes damage among them, or None."""
        try:
            self._reader.check()
        except VideoError as error:
            return self._failure or error
        return self._failure

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
