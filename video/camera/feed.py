"""Read a live camera into a bounded queue, and reopen it when it fails."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from time import monotonic
from typing import Protocol

from mostnet.contract import Frame, VideoError

_LOG = logging.getLogger(__name__)

#: A camera that takes longer than this to open counts as hung; some drivers take seconds.
_OPENING_S = 10.0
#: Most frames that wait: the next one to process and a newer one.
QUEUE = 2


class LiveSource(Protocol):
    """An open camera, as ``CameraFeed`` reads it. ``CameraSource`` is one; a class of your own needs these four names.

    Attributes:
        size_hw: height and width of its pictures, in pixels.
        fps: its frame rate, in frames per second.
    """

    size_hw: tuple[int, int]
    fps: Fraction

    def pictures(self) -> Iterator[tuple[Fraction, Frame]]:
        """Yield (seconds, frame), uint8 ``(H, W, 3)`` BGR, as they come; called once, in the feed's thread.

        The feed does not use the seconds: it takes the time at which a frame arrives. It keeps the frame, so yield a
        new array each time. If the camera fails, raise any Exception; VideoError is the usual one. After an error or
        at the end of the generator, the feed closes the camera and opens it again.
        """

    def close(self) -> None:
        """Release the camera; called once, in the feed's thread."""


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A camera's frame.

    Attributes:
        frame: uint8 ``(H, W, 3)`` BGR.
        time_s: when it came, in seconds since the feed was opened.
        is_first: whether it is the first frame since the camera was opened or reopened.
    """

    frame: Frame
    time_s: Fraction
    is_first: bool


class CameraFeed:
    """Reads a camera in a thread. For a slow consumer, the oldest frames are dropped and counted.

    Attributes:
        size_hw: height and width of the pictures in pixels, as the camera gave them when it was first opened.
        fps: frames per second, likewise.
        dropped: frames that were not taken in time.
        reconnects: how often the camera was reopened.
        problem: why no frames come; empty while they do.
    """

    def __init__(
        self,
        open_source: Callable[[], LiveSource],
        *,
        stall_s: float = 1.0,
        retry_s: float = 1.0,
        attempts: int = 30,
        opening_s: float = _OPENING_S,
    ) -> None:
        """Open the camera.

        Args:
            open_source: opens it, or raises; called again, in a thread, each time the camera is reopened.
            stall_s: a camera that gives no picture for this long is reopened.
            retry_s: pause before each attempt to reopen it.
            attempts: failed attempts in a row after which ``next`` raises.
            opening_s: an attempt that takes longer counts as hung, and another one is started.

        Raises:
            VideoError: the camera cannot be opened. Any other error of ``open_source`` comes through as it is.
        """
        self._open_source = open_source
        self._stall_s, self._retry_s, self._attempts, self._opening_s = stall_s, retry_s, attempts, opening_s
        self._frames: deque[LiveFrame] = deque(maxlen=QUEUE)
        self._change = threading.Condition()
        self._closed = False
        self._failed: VideoError | None = None
        self._generation = 0
        self._begun_s = monotonic()
        self._hung_threads = 0  # in a row
        self.dropped = self.reconnects = 0
        self.problem = ""
        source = open_source()
        self.size_hw, self.fps = source.size_hw, source.fps
        self._alive_s = monotonic()
        self._deadline_s = self._alive_s + stall_s  # the reading thread counts as hung after this
        self._start(source)

    def next(self, timeout_s: float) -> LiveFrame | None:
        """Wait up to ``timeout_s`` for the oldest frame in the queue; None if none came, see ``problem``.

        Raises:
            VideoError: all attempts to reopen the camera failed.
        """
        with self._change:
            self._change.wait_for(lambda: self._frames or self._failed or self._closed, timeout=timeout_s)
            if self._frames:
                return self._frames.popleft()
            if self._failed is not None:
                raise self._failed
            if monotonic() > self._deadline_s and not self._closed:
                self._abandon_thread(monotonic() - self._alive_s)
            return None

    def close(self) -> None:
        """Stop reading and release the camera; a hung one is released when its driver returns."""
        with self._change:
            self._closed = True
            self._generation += 1
            self._change.notify_all()
        self._thread.join(timeout=2.0)

    def _abandon_thread(self, silent_s: float) -> None:
        """Start another thread: the current one hangs in the driver and cannot be interrupted."""
        self.problem = f"camera gives no picture for {silent_s:.1f} s"
        self._hung_threads += 1
        if self._hung_threads > self._attempts:
            self._failed = VideoError(f"{self.problem}; gave up after {self._attempts} attempts to reopen it")
            raise self._failed
        self._generation += 1
        self._deadline_s = monotonic() + self._retry_s + self._opening_s
        self._start(None)

    def _start(self, source: LiveSource | None) -> None:
        self._thread = threading.Thread(
            target=self._read, args=(source, self._generation), name="mostnet-camera", daemon=True
        )
        self._thread.start()

    def _read(self, source: LiveSource | None, generation: int) -> None:
        while self._is_current(generation):
            if source is None:
                source = self._reopen(generation)
                if source is None:
                    return
            try:
                is_first = True
                for _, frame in source.pictures():
                    if not self._is_current(generation):
                        break
                    self._put(frame, is_first)
                    is_first = False
                problem = "camera ended"
            except Exception as error:  # a camera of the caller's own may raise anything
                problem = _line(error)
            self._tell(problem, generation)
            _close(source)
            source = None

    def _reopen(self, generation: int) -> LiveSource | None:
        """Reopen the camera; None after the last attempt, or if another thread has taken over."""
        problem = self.problem
        for _ in range(self._attempts):
            with self._change:
                if self._is_current(generation):
                    self._deadline_s = monotonic() + self._retry_s + self._opening_s
                self._change.wait_for(lambda: not self._is_current(generation), timeout=self._retry_s)
            if not self._is_current(generation):
                return None
            try:
                source = self._open_source()
            except Exception as error:
                problem = _line(error)
                self._tell(problem, generation)
                continue
            with self._change:
                self.reconnects += self._is_current(generation)
                if self._is_current(generation):
                    self._deadline_s = monotonic() + self._stall_s
            return source
        with self._change:
            if not self._is_current(generation):
                return None
            self._failed = VideoError(f"{problem}; gave up after {self._attempts} attempts to reopen it")
            self._change.notify_all()
        return None

    def _tell(self, problem: str, generation: int) -> None:
        with self._change:
            if self._is_current(generation):
                self.problem = problem

    def _is_current(self, generation: int) -> bool:
        return not self._closed and generation == self._generation

    def _put(self, frame: Frame, is_first: bool) -> None:
        with self._change:
            self._alive_s = monotonic()
            self._deadline_s = self._alive_s + self._stall_s
            self._hung_threads = 0
            self.problem = ""
            if len(self._frames) == QUEUE:
                oldest = self._frames.popleft()
                if oldest.is_first:
                    self._frames[0] = replace(self._frames[0], is_first=True)
                self.dropped += 1
            self._frames.append(LiveFrame(frame, Fraction(self._alive_s - self._begun_s), is_first))
            self._change.notify_all()


def _close(source: LiveSource) -> None:
    """Release a camera; one that cannot be released is opened again all the same."""
    try:
        source.close()
    except Exception as error:  # a camera of the caller's own may raise anything, and no consumer waits for this
        _LOG.warning("the camera failed while it was closed: %s", _line(error), exc_info=True)


def _line(error: Exception) -> str:
    """An error in one line; one that is not of this project with its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, VideoError) else f"camera fault: {type(error).__name__}: {text}".rstrip(": ")
