"""Access to a session: one call at a time, only in the process that opened it, until it is closed.

A call claims the session; a second call that comes meanwhile is refused, not queued. ``close`` refuses further calls,
stops a running stream and frees the memory; if a call is in progress, that call frees it when it ends.
"""

from __future__ import annotations

import logging
import os
import threading
from types import TracebackType

from mostnet.contract import EngineBusyError, EngineClosedError

from .interfaces import DeviceLostError
from .pipeline import Pipeline
from .ring import Ring

_LOG = logging.getLogger(__name__)

#: How long ``close`` waits for frames in flight before it gives up freeing their memory.
CLOSE_WAIT_MS = 5000.0


class Usage:
    """The claims on one session's ring. ``with usage:`` claims it for one call.

    ``guard`` is for work that needs the ring open to its end, such as taking a result: hold it and ``check`` first.

    Attributes:
        running: the pipeline of the running stream, set under ``guard``; ``close`` stops it.
        closed: true after ``close``, or once the device is lost.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._pid = os.getpid()
        self._busy = threading.Lock()
        # Reentrant: a signal handler may close the engine while the thread that it interrupts holds the guard.
        self.guard = threading.RLock()
        self.running: Pipeline | None = None
        self.closed = False
        self._freed = False

    @property
    def is_forked(self) -> bool:
        """True in a process forked from the one that opened the session: a fork has none of its threads."""
        return os.getpid() != self._pid

    def check(self) -> None:
        """Check that the session is open.

        Raises:
            EngineClosedError: it is closed, or this is a forked process.
        """
        if os.getpid() != self._pid:  # ``is_forked`` without the call, because this runs for every frame
            raise EngineClosedError(
                f"the engine was opened in process {self._pid} and cannot be used in process {os.getpid()}, forked "
                "from it, which has none of its threads; open a new Engine in the child"
            )
        if self.closed:
            raise EngineClosedError(
                "the engine or session is closed; open a new Engine, or a new session of an open one"
            )

    def __enter__(self) -> None:
        self.check()
        if not self._busy.acquire(blocking=False):
            self.check()
            raise EngineBusyError(
                "this session is in use: another thread is in infer(), or a stream() of it is not finished; "
                "take one engine.session() per thread or camera"
            )
        if self.closed:
            self._release()
            self.check()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, DeviceLostError):
            self.lose()
        self._release()

    def lose(self) -> None:
        """Close the session without waiting for its frames: the device is lost."""
        self.closed = True
        self._ring.abandon()

    def close(self) -> None:
        """Refuse further calls, stop a running stream and free the ring, or leave that to the call in progress.

        May be called twice.
        """
        if self.is_forked:
            self.closed = True  # the child must not wait for the parent's threads and locks
            return
        with self.guard:
            if self.closed:
                return
            self.closed = True
            running = self.running
        if running is not None:
            running.stop()
            self._free()
        elif self._busy.acquire(blocking=False):
            self._release()

    def _release(self) -> None:
        self._busy.release()
        if self.closed:
            self._free()

    def _free(self) -> None:
        if self.is_forked:
            return
        with self.guard:
            if self._freed:
                return
            self._freed = True
        try:
            settled = self._ring.settle(CLOSE_WAIT_MS)
        except DeviceLostError as error:
            _LOG.warning("close: %s", error)
            settled = True
        if settled:
            self._ring.close()
        else:
            _LOG.warning("close: a frame is not finished after %g ms; its memory is not freed", CLOSE_WAIT_MS)
