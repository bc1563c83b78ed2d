"""The newest frame of a live source, for an engine that is slower than the source."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from time import perf_counter
from typing import NamedTuple

import numpy as np

from mostnet.contract import FrameError, check_frame
from mostnet.engine.cuda.frame import is_on_device
from mostnet.engine.results import ResultPool
from mostnet.engine.threads import start_thread

from .sources import close_source, frame_and_timestamp


class Arrival(NamedTuple):
    """A pair ``(frame, timestamp)`` of a source, and when the source gave it, on ``time.perf_counter``."""

    item: tuple[object, object]
    handed_s: float


class NewestFrame:
    """Reads ``source`` in a thread of its own, and keeps a copy of the newest frame until it is taken or replaced.

    The thread begins with the first ``take``, and ends with the source or after ``halt``. It closes the source if that
    is a generator and ``owned``. One thread at a time takes, and it is not the main thread: an interrupt could leave
    the lock held. ``halt`` takes no lock.

    Attributes:
        asking: true while the source is in ``next``.
    """

    def __init__(
        self, source: Iterator[object], size_hw: tuple[int, int], on_drop: Callable[[], None], *, owned: bool
    ) -> None:
        """``on_drop`` is called in the thread for each frame that a newer one replaces."""
        self._source: Iterator[object] | None = source
        self._size_hw = size_hw
        self._on_drop = on_drop
        self._owned = owned
        self._pool = ResultPool((*size_hw, 3), "uint8")
        self._lock = threading.Lock()
        self._waiting: Arrival | None = None
        self._signals: SimpleQueue[bool] = SimpleQueue()  # true: a frame waits; false: none will come
        self._error: BaseException | None = None
        self._halted = False
        self.asking = False
        self._thread = threading.Thread(target=self._read, name="mostnet-source", daemon=True)

    @property
    def reading(self) -> bool:
        """True until the source has ended or raised, or has returned from ``next`` after ``halt``."""
        return self._thread.is_alive()

    @property
    def is_here(self) -> bool:
        """True in the thread in which the source runs."""
        return threading.current_thread() is self._thread

    def take(self) -> Arrival | None:
        """Wait for a frame and take it; None at the end of the source and after ``halt``.

        Raises:
            BaseException: the error of the source, or of a frame that does not fit, after the last good frame.
        """
        if self._thread.ident is None:
            start_thread(self._thread)
        if not self._signals.get():
            error, self._error = self._error, None
            if error is not None and not self._halted:
                try:
                    raise error
                finally:
                    del error  # its traceback would keep it alive, and with it the source's latest frame
            return None
        with self._lock:
            arrival, self._waiting = self._waiting, None
        return arrival

    def halt(self) -> None:
        """Take no further frame from the source, and wake ``take``. It waits for nothing."""
        self._halted = True
        self._signals.put(False)

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end, ``timeout_s`` at most."""
        if self.reading and not self.is_here:
            self._thread.join(timeout_s)

    def _read(self) -> None:
        try:
            self._feed()
        except BaseException as error:  # raised by ``take``
            if not self._halted:
                self._error = error
        finally:
            self.asking = False
            source, self._source = self._source, None
            close_source(source, owned=self._owned)
            del source
            self._signals.put(False)

    def _feed(self) -> None:
        assert self._source is not None, "a source is read once"
        if self._halted:
            return
        self.asking = True
        for item in self._source:
            self.asking = False
            if self._halted:
                return
            self._put(item, perf_counter())
            del item  # a source that blocks in ``next`` keeps no frame
            self.asking = True

    def _put(self, item: object, handed_s: float) -> None:
        frame, timestamp = frame_and_timestamp(item)
        if not isinstance(frame, np.ndarray) and is_on_device(frame):
            raise FrameError(
                f"frame is a {type(frame).__name__} in GPU memory; a stream with drop='oldest' copies frames that "
                "wait, and expects NumPy arrays: bring the frame to the host, or leave drop out"
            )
        copy = self._pool.copy(check_frame(frame, self._size_hw))
        with self._lock:
            replaces = self._waiting is not None
            self._waiting = Arrival((copy, timestamp), handed_s)
        if replaces:
            self._on_drop()
        else:
            self._signals.put(True)
