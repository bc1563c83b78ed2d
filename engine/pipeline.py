"""The reading side of streams: a thread that takes frames from a source and submits them while slots are free.

``Pipeline`` is the thread of one stream. ``Readers`` are the threads of one session: a source may outlive its stream.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator
from queue import SimpleQueue
from time import perf_counter

from mostnet.contract import EngineBusyError, EngineTimeoutError, Frame

from .slot import Slot

_LOG = logging.getLogger(__name__)

#: Longest wait for a source that is blocked in ``next``. Its daemon thread, which cannot be interrupted, then runs on.
READER_WAIT_S = 2.0


class Pipeline:
    """Reads ``source`` in a thread, from ``start`` until the source ends or raises, or until ``stop``.

    The thread calls ``submit(item, handed_s)``, at most ``slots`` times ahead of ``release`` and never after ``stop``
    has returned. It then calls ``wait_copied(slot)``, which returns when the item may change. It closes the source if
    that is a generator and ``owned``.
    """

    def __init__(
        self,
        source: Iterator[object],
        submit: Callable[[object, float], Slot],
        wait_copied: Callable[[Slot], None],
        slots: int,
        *,
        owned: bool,
    ) -> None:
        self._source: Iterator[object] | None = source
        self._owned = owned
        self._submit = submit
        self._wait_copied = wait_copied
        self._free = threading.Semaphore(slots)
        self._submitted: SimpleQueue[Slot | None] = SimpleQueue()
        self._gate = threading.RLock()
        self._stopped = False
        self._reserved = False
        self._lent = False
        self._error: BaseException | None = None
        self._reader = threading.Thread(target=self._read, name="mostnet-reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._reader.start()

    @property
    def reading(self) -> bool:
        """True until the source has ended or raised, or has returned from ``next`` after ``stop``."""
        return self._reader.is_alive()

    @property
    def is_here(self) -> bool:
        """True in the reader's own thread, in which the source runs."""
        return threading.current_thread() is self._reader

    @property
    def holds_buffer(self) -> bool:
        """True while the source may write to a buffer that ``lend`` gave it, even after ``stop``."""
        return self._lent and self.reading

    def join(self, timeout_s: float) -> None:
        """Wait for the reader to end, ``timeout_s`` at most."""
        self._reader.join(timeout_s)

    def lend(self, lend: Callable[[], Frame], timeout_ms: float | None) -> Frame | None:
        """In the reader's thread: call ``lend`` once a slot is free and return its buffer; None after ``stop``.

        Raises:
            EngineTimeoutError: no slot became free within ``timeout_ms``.
        """
        if not self._reserve(timeout_ms):
            raise EngineTimeoutError(
                f"no slot was free for an input buffer within {timeout_ms:g} ms (timeout_ms): the consumer of the "
                "stream is slower than its source"
            )
        with self._gate:
            if self._stopped:
                return None
            self._lent = True
            return lend()

    def next(self, timeout_ms: float | None) -> Slot | None:
        """The next submitted slot, in order; None at the end of the source or after ``stop``.

        Raises:
            Empty: nothing was submitted within ``timeout_ms``.
            BaseException: the error of the source or of ``submit``, unchanged, after every slot submitted before it.
        """
        slot = self._submitted.get(timeout=None if timeout_ms is None else timeout_ms / 1e3)
        if slot is None and self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error  # its traceback would keep it alive, and with it the source's latest frame
        return slot

    def release(self) -> None:
        """Allow one more frame: the result of the oldest slot has been taken."""
        self._free.release()

    def stop(self, *, wait: bool = True) -> None:
        """Submit nothing more and wake the thread in ``next``; ``wait`` joins the reader, ``READER_WAIT_S`` at most."""
        with self._gate:
            self._stopped = True
        self._free.release()
        self._submitted.put(None)
        if self.is_here:  # the source itself may close the engine
            return
        self._reader.join(READER_WAIT_S if wait else 0.0)
        if self._reader.is_alive():
            _LOG.warning("a stream has ended while its source still blocks in next(); its thread ends with that call")

    def _reserve(self, timeout_ms: float | None) -> bool:
        """Wait until one more frame may be submitted; false if ``timeout_ms`` passes first."""
        if not self._reserved:
            self._reserved = self._free.acquire(timeout=None if timeout_ms is None else timeout_ms / 1e3)
        return self._reserved

    def _read(self) -> None:
        try:
            self._feed()
        except BaseException as error:  # raised by ``next``, in the consumer's thread
            self._error = error
        finally:
            self._submitted.put(None)
            self._close_source()
            self._source = None

    def _feed(self) -> None:
        assert self._source is not None, "a source is read once"
        for item in self._source:
            handed_s = perf_counter()
            self._reserve(None)
            with self._gate:
                if self._stopped:
                    return
                slot = self._submit(item, handed_s)
                self._reserved = self._lent = False
            self._submitted.put(slot)
            self._wait_copied(slot)

    def _close_source(self) -> None:
        if self._owned and isinstance(self._source, Generator):
            try:
                self._source.close()
            except Exception:  # no consumer is left to raise it to
                _LOG.exception("the source of a stream failed while it was closed")


class Readers:
    """The pipelines of one session, each from its start until its reader has ended."""

    def __init__(self) -> None:
        self._pipelines: list[Pipeline] = []

    def add(self, pipeline: Pipeline) -> None:
        """Add a pipeline before it starts."""
        self._pipelines.append(pipeline)

    def prune(self) -> None:
        """Forget the pipelines that have ended."""
        self._pipelines = [pipeline for pipeline in self._pipelines if pipeline.reading]

    def here(self) -> Pipeline | None:
        """The pipeline whose source runs in this thread, or None."""
        for pipeline in self._pipelines:
            if pipeline.is_here:
                return pipeline
        return None

    def reclaim(self, limit_ms: float | None) -> None:
        """Return when no source of an earlier stream can write to memory that may hold the next frame.

        Raises:
            EngineBusyError: a source did not return from ``next`` within ``limit_ms`` or two seconds.
        """
        if self._pipelines:
            self.prune()
        for pipeline in self._pipelines:
            if pipeline.holds_buffer:
                pipeline.join(READER_WAIT_S if limit_ms is None else min(READER_WAIT_S, limit_ms / 1e3))
            if pipeline.holds_buffer:
                raise EngineBusyError(
                    "the source of an earlier stream still has an input buffer of this session and does not return "
                    "from next(): it could write into this frame; let it end, or take another engine.session()"
                )
