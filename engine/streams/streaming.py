"""Running a stream: a pipeline submits frames from its own thread while the consumer's thread waits and takes results.

A stream claims its session from the first ``next`` of the consumer until its end. ``Usage.guard`` keeps ``close`` from
freeing memory while a pipeline opens or a result is taken.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from queue import Empty

from mostnet.contract import EngineTimeoutError
from mostnet.engine.frame_runner import FrameRunner
from mostnet.engine.interfaces import DeviceLostError
from mostnet.engine.options import Options
from mostnet.engine.output import Counters, Output
from mostnet.engine.ring import Ring
from mostnet.engine.slot import Slot
from mostnet.engine.usage import Claim, Usage

from .newest import NewestFrame
from .pipeline import Pipeline, Readers
from .sources import frame_and_timestamp

#: After a timeout the stream does not wait for the late frame: the next call does.
_NO_WAIT_MS = 0.0

#: While a frame is copied on the device, the reader checks this often whether its session was closed.
_COPY_POLL_MS = 100.0


class Streaming:
    """The streams of one session, one at a time."""

    def __init__(
        self,
        ring: Ring,
        usage: Usage,
        frames: FrameRunner,
        readers: Readers,
        counters: Counters,
        options: Options,
    ) -> None:
        self._ring = ring
        self._usage = usage
        self._frames = frames
        self._readers = readers
        self._counters = counters
        self._slots = options.slots
        self._owned_results = options.results == "owned"  # others stay in the slot until the consumer asks for the next

    def run(
        self, source: Iterator[object], limit_ms: float | None, *, owned: bool, newest: bool = False
    ) -> Generator[Output, None, None]:
        """Yield the result of each frame of ``source``; see ``Session.stream``.

        Args:
            source: frames, or pairs ``(frame, timestamp)``.
            limit_ms: longest wait for the source, and longest wait for a result.
            owned: nothing else uses ``source``, so the stream closes it.
            newest: drop frames for which the engine has no time.
        """
        claim = Claim()
        wait_ms = None if limit_ms is None else limit_ms * self._slots
        try:
            self._usage.enter(claim)
            self._frames.settle(limit_ms)
            pipeline = self._open(claim, source, owned=owned, newest=newest)
            while (slot := self._next(pipeline, limit_ms)) is not None:
                self._frames.wait(slot, limit_ms)
                output = self._take(slot)
                if self._owned_results:
                    pipeline.release()
                yield output
                if not self._owned_results:
                    pipeline.release()
            self._usage.check()
        except EngineTimeoutError:
            wait_ms = _NO_WAIT_MS
            raise
        except DeviceLostError:
            self._usage.lose()  # before ``_end``, which must not wait for frames on a lost device
            raise
        finally:  # an interrupt in here leaves the ring unsettled, and the next call settles it
            try:
                self._end(claim, wait_ms)
            finally:
                claim.over = True
                self._usage.leave()

    def submit(self, item: object, handed_s: float) -> Slot:
        """See ``Intake``."""
        frame, timestamp = frame_and_timestamp(item)
        return self._frames.submit(frame, timestamp, handed_s)

    def wait_copied(self, slot: Slot) -> None:
        """See ``Intake``: block until a frame on the device is copied, as its owner may write to it or free it then."""
        while slot.source is not None and not self._usage.closed and not self._ring.wait_copied(slot, _COPY_POLL_MS):
            pass

    def _open(self, claim: Claim, source: Iterator[object], *, owned: bool, newest: bool) -> Pipeline:
        feed: Iterator[object] | NewestFrame = source
        if newest:
            feed = NewestFrame(source, self._frames.size_hw, self._counters.add_drop, owned=owned)
        # A frame that waits for others grows old: in a live stream one is under way.
        most = 1 if newest else self._slots
        with self._usage.guard:
            self._usage.check()
            streams = self._ring.open_pipeline()
            pipeline = Pipeline(feed, self, streams.close, claim, most, owned=owned)
            claim.pipeline = pipeline
            self._readers.add(pipeline)
            pipeline.start()
            return pipeline

    def _next(self, pipeline: Pipeline, limit_ms: float | None) -> Slot | None:
        self._usage.check()  # raises in a forked child, which has no reader thread
        try:
            return pipeline.next(limit_ms)
        except Empty:
            raise EngineTimeoutError(
                f"the source of this stream gave no frame within {limit_ms:g} ms (timeout_ms); the stream ends, frame "
                f"{self._frames.last_id} was its last"
            ) from None

    def _take(self, slot: Slot) -> Output:
        with self._usage.guard:  # a close from another thread frees the slot's memory
            self._usage.check()
            result, timing = self._ring.take(slot)
        return self._frames.finish(slot, result, timing)

    def _end(self, claim: Claim, wait_ms: float | None) -> None:
        if self._usage.is_forked or self._usage.exiting or not self._usage.holds(claim):
            return
        try:
            if claim.pipeline is not None:
                claim.pipeline.stop(wait=wait_ms != _NO_WAIT_MS)
            self._ring.settle(wait_ms)
        except DeviceLostError:
            self._usage.lose()
            raise
        finally:
            self._readers.prune()
