"""The reading half of ``stream``: a thread that takes frames from a source and submits them while slots are free."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator
from queue import SimpleQueue
from time import perf_counter

from .slot import Slot

_LOG = logging.getLogger(__name__)

#: A source that is blocked in ``next`` cannot be interrupted; after this its daemon thread is left to itself.
READER_WAIT_S = 2.0


class Pipeline:
    """Reads ``source`` in a thread, from when it is made until the source ends, raises, or ``stop``.

    ``submit(item, handed_s)`` is called in that thread, at most ``slots`` times ahead of ``release``, and never after
    ``stop`` has returned. A generator that is ``owned`` is closed in that thread too.
    """

    def __init__(
        self, source: Iterator[object], submit: Callable[[object, float], Slot], slots: int, *, owned: bool
    ) -> None:
        self._source = source
        self._owned = owned
        self._submit = submit
        self._free = threading.Semaphore(slots)
        self._submitted: SimpleQueue[Slot | None] = SimpleQueue()
        self._gate = threading.RLock()
        self._stopped = False
        self._error: BaseException | None = None
        self._reader = threading.Thread(target=self._read, name="mostnet-reader", daemon=True)
        self._reader.start()

    def next(self, timeout_ms: float | None) -> Slot | None:
        """The next submitted slot, in order; None at the end of the source or after ``stop``.

        Raises:
            Empty: nothing was submitted within ``timeout_ms``.
            BaseException: what the source or ``submit`` raised, as it was, after every slot submitted before.
        """
        slot = self._submitted.get(timeout=None if timeout_ms is None else timeout_ms / 1e3)
        if slot is None and self._error is not None:
            error, self._error = self._error, None
            raise error
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
        if threading.current_thread() is self._reader:  # the source itself may close the engine
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

    def _feed(self) -> None:
        for item in self._source:
            handed_s = perf_counter()
            self._free.acquire()
            with self._gate:
                if self._stopped:
                    return
                slot = self._submit(item, handed_s)
            self._submitted.put(slot)

    def _close_source(self) -> None:
        if self._owned and isinstance(self._source, Generator):
            try:
                self._source.close()
            except Exception:  # the consumer is gone: there is nobody to raise it to
                _LOG.exception("the source of a stream failed while it was closed")
