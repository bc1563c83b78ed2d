"""Access to a session: one call at a time, only in the process that opened it, until it is closed.

A call claims the session; a second call that comes meanwhile is refused, not queued. ``close`` refuses further calls,
stops a running stream and frees the memory; if a call is in progress, that call frees it when it ends.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from time import perf_counter, sleep
from weakref import ref

from mostnet.contract import EngineBusyError, EngineClosedError
from mostnet.engine.streams.pipeline import Pipeline, Readers

from .exit import end_at_exit
from .fork import keep, own
from .interfaces import DeviceLostError
from .ring import Ring

_LOG = logging.getLogger(__name__)

#: How long ``close`` waits for frames in flight before it gives up freeing their memory.
CLOSE_WAIT_MS = 5000.0

#: While an ``infer`` in another thread is in progress, the exit of the process looks this often whether it is done.
_EXIT_POLL_S = 1e-3


class Claim:
    """A call's hold on a session, kept in a local variable of the call and nowhere else.

    KeyboardInterrupt can strike anywhere, also in the code that ends a call. Then the claim ends with the call's stack
    frame, and the pipeline of a stream with its claim.

    Attributes:
        pipeline: that of a stream, set under ``Usage.guard``.
        over: the call is done with the session.
    """

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self.over = False


class Usage:
    """The claims on one session's ring, which it frees after ``close``, or once nothing refers to it any more.

    A call claims the session like this, so that an interrupt cannot leave it claimed::

        claim = Claim()
        try:
            usage.enter(claim)
            ...
        finally:
            claim.over = True  # before any call, in which an interrupt could strike
            usage.leave()

    ``guard`` is for work that needs the ring open to its end, such as taking a result: hold it and ``check`` first.

    Attributes:
        closed: true after ``close``, or once the device is lost or the process exits.
        exiting: true once the process exits.
    """

    exiting = True  # until there is a ring

    def __init__(self, ring: Ring, readers: Readers) -> None:
        self._ring = ring
        self._readers = readers
        self._pid = os.getpid()
        # Reentrant: a signal handler may close the engine while the thread that it interrupts holds the guard.
        self.guard = threading.RLock()
        self.closed = False
        self._claim: ref[Claim] | None = None
        self._freed = False
        self.exiting = False
        own(self)
        end_at_exit(self)

    def __del__(self) -> None:
        if not self.exiting:  # the end of the process frees the rest
            self.close()

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
            if self.exiting and threading.current_thread() is not threading.main_thread():
                raise SystemExit  # ends a daemon thread without noise; the interpreter would end it anyhow
            raise EngineClosedError(
                "the engine or session is closed; open a new Engine, or a new session of an open one"
            )

    def enter(self, claim: Claim) -> None:
        """Claim the session.

        Raises:
            EngineClosedError: as ``check``.
            EngineBusyError: another call has it.
        """
        self.check()
        with self.guard:
            self.check()
            current = self._current()
            if current is not None:
                user = (
                    "another thread is in a call of it"
                    if current.pipeline is None
                    else "a stream() of it is not finished, so end its loop or close() it first"
                )
                raise EngineBusyError(f"this session is in use: {user}; take one engine.session() per thread or camera")
            self._claim = ref(claim)

    def holds(self, claim: Claim) -> bool:
        """True from ``enter`` until ``claim.over``."""
        return self._current() is claim

    def leave(self) -> None:
        """Free the ring if ``close`` came during the call, whose claim is over."""
        if self.closed and not self.exiting and self._current() is None:
            self._free()

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
            self.closed = True
            claim = self._current()
        if claim is not None and claim.pipeline is not None:
            claim.pipeline.stop()
            self._free()
        elif claim is None:
            self._free()

    def refuse(self) -> None:
        """The process exits: refuse further calls and let a stream end."""
        self.exiting = self.closed = True
        claim = self._current()
        if claim is not None and claim.pipeline is not None:
            claim.pipeline.halt()

    def wait_over(self, timeout_s: float) -> None:
        """After ``refuse``: wait for the call in progress and for the frames in flight, ``timeout_s`` at most."""
        if self.is_forked:
            return
        deadline_s = perf_counter() + timeout_s
        claim = self._current()
        if claim is not None and claim.pipeline is None:  # an ``infer``, which works in its own thread
            while not claim.over and perf_counter() < deadline_s:
                sleep(_EXIT_POLL_S)
            return
        if claim is not None and claim.pipeline is not None:
            claim.pipeline.join(timeout_s)
        with suppress(DeviceLostError):  # nothing is in flight on a lost device
            self._ring.settle(max(0.0, deadline_s - perf_counter()) * 1e3)

    def _current(self) -> Claim | None:
        """The claim of the call in progress."""
        claim = None if self._claim is None else self._claim()
        return None if claim is None or claim.over else claim

    def _free(self) -> None:
        if self.is_forked:
            return
        with self.guard:
            if self._freed:
                return
            self._readers.halt()
            try:
                settled = self._ring.settle(CLOSE_WAIT_MS)
            except DeviceLostError as error:
                _LOG.warning("close: %s", error)
                settled = True
            if settled:
                self._ring.close()
            else:
                self._leave_late(self._ring)
            self._freed = True  # last, so that a close that is interrupted can be made again

    def _leave_late(self, ring: Ring) -> None:
        """A frame is not finished after ``CLOSE_WAIT_MS``: do not free the memory that it uses."""
        _LOG.warning("close: a frame is not finished after %g ms; its memory is not freed", CLOSE_WAIT_MS)
        keep(ring)
