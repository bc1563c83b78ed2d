"""The cameras of a server: places with a session each, and whose frame runs next.

Triton hands over each frame as it comes. A camera without a place is refused at once, and does not wait until the
frames before it are done. Frames of one camera run in order. Cameras take turns.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from mostnet.contract import Frame, ServerBusyError, ServerUnavailableError, StateLostError
from mostnet.contract.terminal import counted
from mostnet.engine import Output, Session

#: Most frames of one camera without an answer. A client has at most as many in flight as it has slots.
MOST_WAITING = 8


@dataclass(frozen=True, kw_only=True)
class ServedFrame:
    """A frame that came to the server.

    Attributes:
        camera: number of its camera: Triton's correlation id.
        starts: the camera starts from zero state.
        ends: the camera gives up its place after this frame.
        picture: uint8 ``(H, W, 3)`` BGR; None if nobody wants a result, and the network does not run.
        answer: takes the result, or None without a picture.
        refuse: takes the error.
        is_cancelled: the client waits no more.
    """

    camera: int
    starts: bool
    ends: bool
    picture: Frame | None
    answer: Callable[[Output | None], None]
    refuse: Callable[[Exception], None]
    is_cancelled: Callable[[], bool]


@dataclass(eq=False)
class ServedCamera:
    """A place for one camera.

    Attributes:
        session: runs its frames.
        number: the camera that has the place; None if it is free.
        has_state: the camera has started, and its state is that after its last frame.
        waiting: frames without an answer; the first one runs or is the next of this camera.
        last_s: when its last frame was done.
    """

    session: Session
    number: int | None = None
    has_state: bool = False
    waiting: deque[ServedFrame] = field(default_factory=deque)
    last_s: float = 0.0


class ServedCameras:
    """Runs the frames of as many cameras as there are sessions. Any thread may call ``submit``."""

    def __init__(
        self,
        sessions: Sequence[Session],
        *,
        idle_s: float,
        at_once: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``idle_s`` after its last frame, a camera loses its place to one that needs it; ``at_once`` frames run."""
        self._places = [ServedCamera(session) for session in sessions]
        self._idle_s = idle_s
        self._clock = clock
        self._lock = threading.Lock()
        self._is_closed = False
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="mostnet-camera")

    def submit(self, frame: ServedFrame) -> None:
        """Take a frame, which is answered or refused later, by another thread.

        Raises:
            ServerBusyError: the camera starts and there is no place, or it has too many frames without an answer.
            StateLostError: the camera has no place and does not start.
            ServerUnavailableError: the cameras are closed.
        """
        with self._lock:
            if self._is_closed:
                raise _closed()
            place = self._place_of(frame)
            if len(place.waiting) == MOST_WAITING:
                raise ServerBusyError(
                    f"busy: this camera has {counted(MOST_WAITING, 'frame')} without an answer; wait for one"
                )
            place.number = frame.camera
            place.waiting.append(frame)
            if len(place.waiting) == 1:
                self._threads.submit(self._run_next, place)

    def close(self) -> None:
        """Finish the frames that run, and refuse those that wait. The sessions stay open."""
        with self._lock:
            self._is_closed = True
        self._threads.shutdown(cancel_futures=True)
        for place in self._places:
            while place.waiting:
                _tell(place.waiting.popleft(), None, _closed())

    def _place_of(self, frame: ServedFrame) -> ServedCamera:
        for place in self._places:
            if place.number == frame.camera:
                return place
        if not frame.starts:
            raise _lost()
        for place in self._places:
            idle = not place.waiting and self._clock() - place.last_s > self._idle_s
            if place.number is None or idle:
                return place
        raise ServerBusyError(
            f"busy: {counted(len(self._places), 'camera')} took all places, until one is closed or idle for "
            f"{self._idle_s:g} s"
        )

    def _run_next(self, place: ServedCamera) -> None:
        frame = place.waiting[0]
        output, failure = None, None
        try:
            output = _run(place, frame)
        except Exception as error:
            failure = error
        with self._lock:
            place.waiting.popleft()
            place.last_s = self._clock()
            if place.waiting:
                if not self._is_closed:  # else close refuses them
                    self._threads.submit(self._run_next, place)
            elif not place.has_state:
                place.number = None
        # After the place is free: a client that gets this answer may tell another camera to start.
        _tell(frame, output, failure)


def _run(place: ServedCamera, frame: ServedFrame) -> Output | None:
    if frame.is_cancelled():
        # As Triton does with frames that it holds. Without this, an overloaded server would work for nobody.
        place.has_state = False
        raise StateLostError("cancelled: the client did not wait for this frame, which did not run")
    if frame.starts:
        place.session.reset()
        place.has_state = True
    elif not place.has_state:
        raise _lost()
    try:
        return None if frame.picture is None else place.session.infer(frame.picture)
    finally:
        place.has_state = not frame.ends


def _tell(frame: ServedFrame, output: Output | None, failure: Exception | None) -> None:
    try:
        frame.answer(output) if failure is None else frame.refuse(failure)
    except Exception:
        traceback.print_exc()  # into the log of the server; the other cameras go on


def _closed() -> ServerUnavailableError:
    return ServerUnavailableError("closed: the server is ending, and this frame did not run")


def _lost() -> StateLostError:
    # Triton's own words, by which a client knows its answer and ours.
    return StateLostError("lost: the server has no state of this camera; its next frame must specify the START flag")
