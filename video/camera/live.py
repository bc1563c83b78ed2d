"""A live camera through an engine, with bounded delay. A picture that is not a new result is labelled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from fractions import Fraction
from functools import partial
from time import monotonic

from mostnet.contract import EngineClosedError, Frame, VideoError
from mostnet.engine import Session
from mostnet.video.fit import FrameFit
from mostnet.video.guards import FreezeGuard, SceneEvent, SceneGuard
from mostnet.video.sink import Original, Sink

from .failsafe import FailSafe
from .feed import CameraFeed, LiveFrame, LiveSource
from .source import CameraSource

#: Without a frame for this long, the picture says so: the frame period of a slow camera.
_PATIENCE_S = 0.25


class Live:
    """Sends the frames of a camera through an engine as they come.

    At most two frames wait: if processing is slower than the camera, the oldest are dropped and counted. A frame is
    shown unprocessed, in a red border with the reason, if its result is late or failed or if the camera repeats it. A
    camera that fails or hangs is reopened; until then its last picture is shown darkened, with the reason. The engine
    is reset at cuts, after darkness and when the camera was reopened.
    """

    pixel_aspect = Fraction(1)
    sound = None
    complete = False

    def __init__(
        self,
        camera: int,
        engine: Session,
        limit: int | None,
        *,
        open_source: Callable[[], LiveSource] | None = None,
        stall_s: float = 1.0,
        retry_s: float = 1.0,
        attempts: int = 30,
        late_ms: float | None = None,
    ) -> None:
        """Open the camera.

        Args:
            camera: its number.
            engine: must not be used by anything else meanwhile.
            limit: stop after this many pictures; None for no end.
            open_source: opens the camera; by default with OpenCV.
            stall_s, retry_s, attempts: see ``CameraFeed``.
            late_ms: ``limit_ms`` of ``FailSafe``.

        Raises:
            VideoError: the camera cannot be opened.
        """
        self._name = f"camera {camera}"
        self._engine = engine
        self._limit = limit
        self._late_ms = late_ms
        open_source = open_source or partial(CameraSource, camera)
        self._feed = CameraFeed(open_source, stall_s=stall_s, retry_s=retry_s, attempts=attempts)
        self._scenes, self._freezes = SceneGuard(), FreezeGuard()
        self._missed = SceneEvent.SAME  # of frames without a result, so the stabiliser does not know of it
        self._failure: VideoError | None = None
        self._last: tuple[Frame, float] | None = None
        self.size_hw, self.fps = self._feed.size_hw, self._feed.fps
        self.fit = FrameFit(self.size_hw, engine.metadata.size_hw)
        self.resets = 0

    @property
    def dropped(self) -> int:
        """Frames skipped because newer ones had come."""
        return self._feed.dropped

    @property
    def reconnects(self) -> int:
        """How often the camera was reopened."""
        return self._feed.reconnects

    def pump(
        self, sink: Sink, progress: Callable[[int, int | None], None] | None, stop: Callable[[], bool] | None
    ) -> bool:
        """Send results to the sink until ``stop``, the window, the limit or a failed camera ends the run.

        Returns whether ``stop`` or the window ended it.
        """
        begun_s = monotonic()
        period_ms = 1e3 / float(self.fps)
        with closing(FailSafe(self._engine, period_ms=period_ms, limit_ms=self._late_ms)) as engine:
            while self._limit is None or sink.taken < self._limit:
                if (stop is not None and stop()) or sink.closed_by_user:
                    return True
                try:
                    item = self._feed.next(_PATIENCE_S)
                except VideoError as error:
                    self._failure = error
                    return False
                if item is None:
                    self._show_last_darkened(sink, Fraction(monotonic() - begun_s))
                else:
                    self._show(item, engine, sink)
                if progress is not None:
                    progress(sink.frames, self._limit)
        return False

    def finish(self) -> VideoError | None:
        """Return the error that ended the camera, or None."""
        return self._failure

    def close(self) -> None:
        """Release the camera."""
        self._feed.close()

    def _show(self, item: LiveFrame, engine: FailSafe, sink: Sink) -> None:
        frame = item.frame
        if item.is_first and self._last is not None:
            self._scenes, self._missed = SceneGuard(), SceneEvent.CUT  # a late result of the old camera may still come
            sink.restart()
            self._reset()
        self._last = (frame, monotonic())
        if self._freezes.check(frame):
            sink.show_raw(item.time_s, frame, "FROZEN: the camera repeats this picture")
            return
        event = self._scenes.check(frame)
        if event.resets_engine:
            self._reset()
        if event is SceneEvent.SAME:
            event = self._missed
        original = Original(item.time_s, frame, event)
        attempt = engine.infer(self.fit.to_engine(frame), timestamp=original)
        for output in attempt.late:
            sink.follow(output)
        self._missed = event if attempt.output is None else SceneEvent.SAME
        if attempt.output is None:
            sink.show_raw(item.time_s, frame, f"RAW: {attempt.problem}")
        else:
            sink.show(attempt.output)

    def _show_last_darkened(self, sink: Sink, time_s: Fraction) -> None:
        """Show the last frame darkened, with the reason why no new one came."""
        if self._last is None:
            return
        frame, since_s = self._last
        reason = self._feed.problem or "no new picture"
        sink.show_raw(time_s, frame // 3, f"NO PICTURE for {monotonic() - since_s:.1f} s: {reason}")

    def _reset(self) -> None:
        with suppress(EngineClosedError):  # the next frame raises it again, and shows it
            self._engine.reset()
            self.resets += 1
