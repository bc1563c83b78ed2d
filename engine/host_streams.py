"""Streams and events on the host: work runs at once in the caller's thread, or in a worker thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from math import inf
from queue import SimpleQueue
from time import perf_counter
from weakref import ref

from .interfaces import Stream, Streams
from .threads import start_thread


class HostEvent:
    """An event that counts its records, so that each wait is for one record and not for a later one.

    Each wait has a lock of its own, and every step is one call in C: an interrupt of a wait leaves nothing locked.
    """

    __slots__ = ("_reached", "_recorded", "_waiting", "time_s")

    def __init__(self) -> None:
        self._waiting: deque[threading.Lock] = deque()
        self._recorded = 0
        self._reached = 0
        self.time_s = 0.0

    def arm(self) -> int:
        """Announce a record and return its mark. Only the submitting thread calls this."""
        self._recorded += 1
        return self._recorded

    def reach(self, mark: int) -> None:
        """Note that the stream has reached the record ``mark``. One thread at a time calls this."""
        self.time_s = perf_counter()
        self._reached = mark
        while self._waiting:
            self._waiting.popleft().release()

    def wait_mark(self, mark: int, timeout_ms: float | None = None) -> bool:
        """Block until the record ``mark`` is reached; false if ``timeout_ms`` passes first."""
        deadline_s = inf if timeout_ms is None else perf_counter() + timeout_ms / 1e3
        while self._reached < mark:
            left_s = deadline_s - perf_counter()
            if left_s <= 0:
                return False
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
            if self._reached < mark:  # otherwise ``reach`` may have come before the line above
                turn.acquire(timeout=min(left_s, threading.TIMEOUT_MAX))
        return True

    def latest(self) -> int:
        """Mark of the latest record."""
        return self._recorded

    def since_ms(self, earlier: HostEvent) -> float:
        """Time from ``earlier`` to this event."""
        return (self.time_s - earlier.time_s) * 1e3

    def query(self) -> bool:
        """True once the latest record is reached, or if there is no record yet."""
        return self._reached >= self._recorded

    def wait(self, timeout_ms: float | None) -> bool:
        """Block until the latest record is reached; false if ``timeout_ms`` passes first."""
        return self.wait_mark(self._recorded, timeout_ms)


class InlineStream:
    """Runs everything at once in the calling thread, so that a single frame costs no thread switch."""

    def run(self, work: Callable[[Stream], None]) -> None:
        """Call ``work(self)`` now."""
        work(self)

    def record(self, event: HostEvent) -> None:
        """Reach ``event`` now."""
        event.reach(event.arm())

    def wait(self, event: HostEvent) -> None:
        """Nothing to wait for: all work submitted before is done."""

    def drain(self, timeout_ms: float | None) -> bool:
        """True: no work is ever pending."""
        return True

    def close(self) -> None:
        """Nothing to close."""


class ThreadStream:
    """Runs its work in a thread of its own, which starts at once.

    The thread ends when the queue is empty after ``close``, or once nothing refers to this object any more.
    """

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[object] = SimpleQueue()
        self._closed = False
        # When this object is gone, the reference puts itself into the queue. It does so in C, unlike a ``__del__``,
        # in which an interrupt would be lost.
        end = ref(self, self._queue.put)
        # Daemon: a process that exits in mid-stream must not wait for a backend that does not answer.
        self._thread = threading.Thread(target=_work, args=(self._queue, end), name=f"mostnet-{name}", daemon=True)
        start_thread(self._thread)

    def run(self, work: Callable[[Stream], None]) -> None:
        """Queue ``work(self)``."""
        self._queue.put((work, self))

    def record(self, event: HostEvent) -> None:
        """Queue a record of ``event``."""
        self._queue.put((event.reach, event.arm()))

    def wait(self, event: HostEvent) -> None:
        """Queue a wait for the latest record of ``event``."""
        self._queue.put((event.wait_mark, event.latest()))

    def drain(self, timeout_ms: float | None) -> bool:
        """Wait until the queued work is done; after ``close``, wait until the thread has ended."""
        if not self._closed:
            event = HostEvent()
            self.record(event)
            return event.wait(timeout_ms)
        self._thread.join(None if timeout_ms is None else timeout_ms / 1e3)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Let the thread end after the queued work. May be called twice."""
        if not self._closed:
            self._queue.put(None)  # before the next line, so that an interrupt in between can only put two
            self._closed = True


def _work(queue: SimpleQueue[object], end: object) -> None:
    """Do the work in the queue, up to anything that is no work. ``end`` is kept alive meanwhile."""
    while isinstance(item := queue.get(), tuple):
        call, argument = item
        call(argument)
        del item, call, argument  # an idle thread must not keep its last frame's work alive


def host_streams(*, pipelined: bool) -> Streams:
    """The streams of a backend whose calls return when their work is done."""
    if not pipelined:
        inline = InlineStream()
        return Streams(inline, inline, inline)
    return Streams(ThreadStream("copy-in"), ThreadStream("compute"), ThreadStream("copy-out"))
