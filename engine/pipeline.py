"""The reading half of ``stream``: a thread that takes frames from a source and submits them while slots are free."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator
from queue import SimpleQueue
from time import perf_counter

import numpy as np
import numpy.typing as npt

from .slot import Slot

_LOG = logging.getLogger(__name__)

#: A source that is blocked in ``next`` cannot be interrupted; after this its daemon thread is left to itself.
READER_WAIT_S = 2.0


class Pipeline:
    """Reads ``source`` in a thread, from ``start`` until the source ends, raises, or ``stop``.

    ``submit(item, handed_s)`` is called in that thread, at most ``slots`` times ahead of ``release``, and never after
    ``stop`` has returned; ``let_go(slot)`` follows it, and returns when the item may change. A generator that is
    ``owned`` is closed in that thread too.
    """

    def __init__(
        self,
        source: Iterator[object],
        submit: Callable[[object, float], Slot],
        let_go: Callable[[Slot], None],
        slots: int,
        *,
        owned: bool,
    ) -> None:
        self._source: Iterator[object] | None = source
        self._owned = owned
        self._submit = submit
        self._let_go = let_go
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
        """True until the source has ended, raised or given back what was read after ``stop``."""
        return self._reader.is_alive()

    @property
    def is_here(self) -> bool:
        """True in the reader's own thread, in which the source runs."""
        return threading.current_thread() is self._reader

    @property
    def holds_buffer(self) -> bool:
        """True while the source may write to what ``lend`` gave it, also after ``stop``."""
        return self._lent and self.reading

    def join(self, timeout_s: float) -> None:
        """Wait for the reader to end, ``timeout_s`` at most."""
        self._reader.join(timeout_s)

    def reserve(self, timeout_ms: float | None) -> bool:
        """In the reader's thread: wait until one more frame may be submitted; false if ``timeout_ms`` passes first."""
        if not self._reserved:
            self._reserved = self._free.acquire(timeout=None if timeout_ms is None else timeout_ms / 1e3)
        return self._reserved

    def lend(self, lend: Callable[[], npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8] | None:
        """In the reader's thread, after ``reserve``: what ``lend`` gives, or None after ``stop``."""
        with self._gate:
            if self._stopped:
                return None
            self._lent = True
            return lend()

    def next(self, timeout_ms: float | None) -> Slot | None:
        """The next submitted slot, in order; None at the end of the source or after ``stop``.

        Raises:
            Empty: nothing was submitted within ``timeout_ms``.
            BaseException: what the source or ``submit`` raised, as it was, after every slot submitted before.
        """
        slot = self._submitted.get(timeout=None if timeout_ms is None else timeout_ms / 1e3)
        if slot is None and self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error  # else its traceback keeps it alive, and with it the source's latest frame
        return slot

    def release(self) -> None:
        """The oldest slot's result has been taken: one more frame may be submitted."""
        self._free.release()

    def stop(self, *, wait: bool = True) -> None:
        """Submit nothing more, wake whoever is in ``next``, and ``wait`` for the reader, ``READER_WAIT_S`` at most."""
        with self._gate:
            self._stopped = True
        self._free.release()
        self._submitted.put(None)
        if self.is_here:  # the source itself may close the engine
            return
        self._reader.join(READER_WAIT_S if wait else 0.0)
        if self._reader.is_alive():
            _LOG.warning(
                "a stream has ended, but its source still blocks in next(); its thread is left to end by itself"
            )

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
            self.reserve(None)
            with self._gate:
                if self._stopped:
                    return
                slot = self._submit(item, handed_s)
                self._reserved = self._lent = False
            self._submitted.put(slot)
            self._let_go(slot)

    def _close_source(self) -> None:
        if self._owned and isinstance(self._source, Generator):
            try:
                self._source.close()
            except Exception:  # the consumer is gone: there is nobody to raise it to
                _LOG.exception("the source of a stream failed while it was closed")
