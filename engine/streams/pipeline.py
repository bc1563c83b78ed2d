"""The reading side of streams: a thread that takes frames from a source and submits them while slots are free.

``Pipeline`` is the thread of one stream. ``Readers`` are the threads of one session: a source may outlive its stream.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Protocol
from weakref import ref

from mostnet.contract import EngineBusyError, EngineTimeoutError, Frame
from mostnet.engine.host_streams import HostEvent
from mostnet.engine.slot import Slot
from mostnet.engine.threads import start_thread

from .newest import NewestFrame
from .sources import close_source

_LOG = logging.getLogger(__name__)

#: Longest wait for a source that is blocked in ``next``. Its daemon thread, which cannot be interrupted, then runs on.
READER_WAIT_S = 2.0


class Intake(Protocol):
    """Where a pipeline takes its frames."""

    def submit(self, item: object, handed_s: float) -> Slot:
        """Hand an item of the source to the next slot."""

    def wait_copied(self, slot: Slot) -> None:
        """Return when the item in ``slot`` may change."""


class Pipeline:
    """Reads ``source`` in a thread, from ``start`` until the source ends or raises, or until ``halt``.

    The source of a live stream is a ``NewestFrame``, which reads the caller's source in another thread. The pipeline
    then takes a frame when a slot is free, and not before.

    The thread submits to ``intake``, at most ``slots`` times ahead of ``release``, and never after ``stop`` has
    returned. At its end it calls ``finish``, and closes the source if that is a generator and ``owned``. It then refers
    to neither; after ``halt`` it does not refer to ``intake``.

    An interrupt may strike the consumer anywhere. So the pipeline halts by itself when nothing refers to ``consumer``
    any more, and the consumer takes no lock that the thread needs: an interrupt could leave it held.
    """

    def __init__(
        self,
        source: Iterator[object] | NewestFrame,
        intake: Intake,
        finish: Callable[[], None],
        consumer: object,
        slots: int,
        *,
        owned: bool,
    ) -> None:
        self._source: Iterator[object] | None = None if isinstance(source, NewestFrame) else source
        self._newest = source if isinstance(source, NewestFrame) else None
        self._owned = owned
        self._intake: Intake | None = intake
        self._finish: Callable[[], None] | None = finish
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(slots):
            self._free.put(None)
        self._submitted: SimpleQueue[Slot | None] = SimpleQueue()
        self._turn = HostEvent()  # recorded before each use of ``_intake`` by the thread, and reached after it
        self._halted = False
        self._reserved = False
        self._lent = False
        self._asking = False
        self._error: BaseException | None = None
        self._reader = threading.Thread(target=self._read, name="mostnet-reader", daemon=True)
        self._consumer: ref[object] | None = ref(consumer, lambda _: self.halt())

    def start(self) -> None:
        """Begin to read."""
        start_thread(self._reader)

    @property
    def reading(self) -> bool:
        """True until the source has ended or raised, or has returned from ``next`` after ``stop``."""
        return self._reader.is_alive() or (self._newest is not None and self._newest.reading)

    @property
    def blocks(self) -> bool:
        """True while the source is in ``next``."""
        return self._asking if self._newest is None else self._newest.asking

    @property
    def is_here(self) -> bool:
        """True in the thread in which the source runs."""
        if self._newest is not None:
            return self._newest.is_here
        return self._is_reader

    @property
    def lends(self) -> bool:
        """True if the source may write to the memory of slots."""
        return self._newest is None

    @property
    def holds_buffer(self) -> bool:
        """True while the source may write to a buffer that ``lend`` gave it, even after ``stop``."""
        return self._lent and self.reading

    def join(self, timeout_s: float) -> None:
        """Wait for the reader and the source to end, ``timeout_s`` at most."""
        deadline_s = perf_counter() + timeout_s
        if self._reader.is_alive():  # an interrupted ``start`` may have started no thread
            self._reader.join(timeout_s)
        if self._newest is not None:
            self._newest.join(max(0.0, deadline_s - perf_counter()))

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
        with self._taking_turn() as intake:
            if intake is None:
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
        self._free.put(None)

    def halt(self) -> None:
        """Begin no further submit, and wake both threads. It waits for nothing, so it may be called anywhere."""
        if self._halted:
            return
        self._intake = None
        self._error = None  # its traceback holds this object
        self._free.put(None)
        if self._newest is not None:
            self._newest.halt()
        self._submitted.put(None)
        self._halted = True  # not before, so that a call that is interrupted is made again when the consumer is gone
        self._consumer = None

    def wait_submitted(self) -> None:
        """After ``halt``: wait for a submit in progress in the thread."""
        if not self._is_reader:
            self._turn.wait(None)

    def stop(self, *, wait: bool = True) -> None:
        """Halt, and let a submit in progress end; ``wait`` joins the reader, ``READER_WAIT_S`` at most."""
        self.halt()
        if self._is_reader:  # the source itself may close the engine
            return
        self.wait_submitted()
        self.join(READER_WAIT_S if wait else 0.0)
        if self.blocks and not self.is_here:
            _LOG.warning("a stream has ended while its source still blocks in next(); its thread ends with that call")

    @property
    def _is_reader(self) -> bool:
        return threading.current_thread() is self._reader

    @contextmanager
    def _taking_turn(self) -> Iterator[Intake | None]:
        """In the thread: the intake, which stays in use until the end; None after ``halt``."""
        mark = self._turn.arm()
        try:
            yield self._intake
        finally:
            self._turn.reach(mark)

    def _reserve(self, timeout_ms: float | None) -> bool:
        """Wait until one more frame may be submitted; false if ``timeout_ms`` passes first."""
        if not self._reserved:
            try:
                self._free.get(timeout=None if timeout_ms is None else timeout_ms / 1e3)
            except Empty:
                return False
            self._reserved = True
        return True

    def _read(self) -> None:
        try:
            self._feed()
        except BaseException as error:  # raised by ``next``, in the consumer's thread
            if self._intake is not None:
                self._error = error
        finally:
            self._asking = False
            self._submitted.put(None)
            self._end()

    def _feed(self) -> None:
        if self._intake is None:  # halted before it began
            return
        if self._newest is not None:
            self._feed_newest(self._newest)
            return
        assert self._source is not None, "a source is read once"
        self._asking = True
        for item in self._source:
            self._asking = False
            if not self._hand_in(item, perf_counter()) or self._intake is None:
                return
            self._asking = True

    def _feed_newest(self, newest: NewestFrame) -> None:
        while self._reserve(None) and self._intake is not None:
            arrival = newest.take()
            if arrival is None or not self._hand_in(*arrival):
                return
            del arrival

    def _hand_in(self, item: object, handed_s: float) -> bool:
        """Submit an item; false after ``halt``. A source that blocks in ``next`` holds nothing of this call."""
        self._reserve(None)
        with self._taking_turn() as intake:
            if intake is None:
                return False
            slot = intake.submit(item, handed_s)
            self._reserved = self._lent = False
        self._submitted.put(slot)
        intake.wait_copied(slot)
        return True

    def _end(self) -> None:
        if self._intake is None:  # ``halt`` may have come just before the error
            self._error = None
        if self._finish is not None:
            self._finish()
        if self._newest is not None:
            self._newest.halt()
        close_source(self._source, owned=self._owned)
        self._source = self._intake = self._finish = self._consumer = None


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

    def halt(self) -> None:
        """See that no thread submits: an interrupt may have kept a stream from halting its own."""
        for pipeline in self._pipelines:
            pipeline.halt()
            pipeline.wait_submitted()

    def reclaim(self, limit_ms: float | None) -> None:
        """Return when no source of an earlier stream can write to memory that may hold the next frame.

        Raises:
            EngineBusyError: a source did not return from ``next`` within ``limit_ms`` or two seconds.
        """
        if self._pipelines:
            self.halt()
            self.prune()
        for pipeline in self._pipelines:
            if pipeline.holds_buffer:
                pipeline.join(READER_WAIT_S if limit_ms is None else min(READER_WAIT_S, limit_ms / 1e3))
            if pipeline.holds_buffer:
                raise EngineBusyError(
                    "the source of an earlier stream still has an input buffer of this session and does not return "
                    "from next(): it could write into this frame; let it end, or take another engine.session()"
                )
