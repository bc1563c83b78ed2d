"""One stream of frames through a model: its own ring, state, frame numbers and figures."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Generator, Iterable, Iterator
from queue import Empty
from time import perf_counter
from types import TracebackType
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from mostnet.contract import EngineBusyError, EngineClosedError, EngineTimeoutError, Metadata, check_frame
from mostnet.engine.cuda.frame import is_on_device

from .counters import Counters
from .interfaces import DeviceFrame, DeviceLostError, Model
from .options import Options, check_timeout
from .output import EngineStats, Output
from .pipeline import Pipeline
from .readers import Readers, lend_to_source
from .ring import Ring
from .slot import Slot

_LOG = logging.getLogger(__name__)

#: How long ``close`` waits for the frames of a running stream before it leaves their memory to them.
CLOSE_WAIT_MS = 5000.0

#: A stream that ran into its timeout does not wait for the late frame again: the next call does.
_NO_WAIT_MS = 0.0

#: While a frame is copied on the device, the reader looks this often whether its stream goes on.
_COPY_LOOK_MS = 100.0

Frame: TypeAlias = npt.NDArray[np.uint8]

S = TypeVar("S", bound="Session")


class Session:
    """Made by ``Engine.session``. For any thread, but one at a time; ``reset``, ``stats`` and ``close`` for all.

    Errors raised by every call:
        EngineBusyError: another thread is in ``infer``, or a stream of this session is not finished.
        EngineClosedError: after ``close``, or in a process forked from the one that opened the engine.
        DeviceError: the device failed; where it says that the context is lost, the session is closed.
    """

    def __init__(self, model: Model, options: Options) -> None:
        self._model = model
        self._options = options
        self._size_hw = model.metadata.size_hw
        self._ring = Ring(model.lane(options.slots, options.outputs, results=options.results))
        self._counters = Counters()
        self._next_id = 0
        self._busy = threading.Lock()
        # Reentrant: a signal handler may close the engine while its own thread is inside.
        self._guard = threading.RLock()
        self._pipeline: Pipeline | None = None
        self._readers = Readers()
        self._closed = False
        self._freed = False
        self._pid = os.getpid()

    @property
    def metadata(self) -> Metadata:
        """What the model file says of itself: variant, frame size, precision, states."""
        return self._model.metadata

    @property
    def provider(self) -> str:
        """What runs the network: ``cpu`` or ``cuda``."""
        return self._model.provider

    @property
    def stats(self) -> EngineStats:
        """The figures so far, also after ``close``."""
        return self._counters.snapshot()

    def infer(self, frame: Frame, *, timestamp: object = None, timeout_ms: float | None = None) -> Output:
        """Run one frame and wait for its result.

        A frame that fails does not count: the next one continues from the state before it. A frame that is late
        counts, and its result is dropped. On the CPU the network runs in the calling thread and is not interrupted by
        ``timeout_ms``: a late frame is reported once it is done.

        Args:
            frame: uint8 ``(H, W, 3)`` BGR of the model's size, copied before this returns: a NumPy array; what
                ``input_buffer`` lent, which is not copied; or, where the engine runs on the GPU, an array on it with
                DLPack or ``__cuda_array_interface__``, row by row, copied on the device once the stream that its
                producer names has come to it; after an EngineTimeoutError, copied once the next call succeeds.
            timestamp: anything; handed back in ``Output.timestamp``.
            timeout_ms: longest time to the result; by default the engine's.

        Raises:
            FrameError: wrong shape, dtype or device, or a buffer whose time is over; nothing has changed.
            EngineTimeoutError: not ready within ``timeout_ms``.
        """
        handed_s = perf_counter()
        limit_ms = self._limit_ms(timeout_ms)
        self._claim()
        try:
            self._settle(limit_ms)
            slot = self._submit(frame, timestamp, handed_s)
            self._wait(slot, limit_ms)
            output = self._take(slot)
            if limit_ms is not None and output.latency_ms > limit_ms:
                raise _late(slot.frame_id, output.latency_ms, limit_ms)
            return output
        except DeviceLostError:
            self._lose()
            raise
        finally:
            self._unclaim()

    def stream(
        self, frames: Iterable[Frame | tuple[Frame, object]], *, timeout_ms: float | None = None
    ) -> Generator[Output, None, None]:
        """Run frames as they come and yield each result when it is ready, in order.

        A thread reads ``frames`` and copies each one before it asks for the next, at most ``slots`` frames ahead of
        the consumer. An error of the source, a refused frame or a failure is raised as itself after the results of all
        frames before it, and ends the stream. Leaving the loop, ``close`` of this generator or of the engine ends it
        too: frames read ahead are finished, dropped and stay part of the state. A source blocked in ``next`` cannot be
        interrupted: its daemon thread is waited for two seconds, then left to end by itself without touching
        the session again. An iterator that is passed in stays open, and up to ``slots + 1`` of its frames have been
        taken beyond the last result; one that ``iter`` made for this stream is closed.

        Args:
            frames: frames as ``infer`` takes them, or pairs ``(frame, timestamp)``.
            timeout_ms: longest wait for the source to give the next frame, and then for its result, once the consumer
                asks for it; by default the engine's. The stream ends with the error, and the next call of the session
                waits for what is still under way.

        Raises:
            FrameError, EngineTimeoutError: as ``infer``; while iterating.
        """
        limit_ms = self._limit_ms(timeout_ms)
        self._check_usable()
        source = iter(frames)
        return self._stream(source, limit_ms, owned=source is not frames)

    def input_buffer(self, *, timeout_ms: float | None = None) -> Frame:
        """Lend the memory that the next frame is uploaded from, so that a camera can write it there.

        Fill it and hand it in next, to ``infer`` or out of the source of ``stream``; it is not copied then. From that
        moment it is the engine's again, as it is when any other frame is handed in instead, which overwrites it. In a
        stream the source alone asks, one buffer for each frame: it gets the next slot's as soon as that is free::

            def camera():
                while True:
                    buffer = engine.input_buffer()
                    sdk.read_into(buffer)
                    yield buffer

        A source that asks after its stream has ended gets an ordinary array, for a frame that nobody will see. The
        memory stays writable after ``close``.

        Args:
            timeout_ms: longest wait for the slot: in a stream for the consumer, by default without limit; else for
                earlier, late frames, by default the engine's.

        Returns:
            uint8 ``(H, W, 3)``, contiguous, page-locked where the engine runs a plan; its content is undefined.

        Raises:
            EngineTimeoutError: no slot was free within ``timeout_ms``.
            EngineBusyError: also where a stream runs, outside its source.
        """
        wait_ms = check_timeout(timeout_ms)
        self._check_usable()
        pipeline = self._readers.here()
        if pipeline is not None:
            buffer = lend_to_source(pipeline, self._ring.lend, wait_ms)
            self._check_usable()
            return np.empty((*self._size_hw, 3), np.uint8) if buffer is None else buffer
        self._claim()
        try:
            self._settle(self._limit_ms(timeout_ms))
            return self._ring.lend()
        except DeviceLostError:
            self._lose()
            raise
        finally:
            self._unclaim()

    def reset(self) -> None:
        """Start a new clip: the next frame that is submitted starts from zero state. Frame numbers go on."""
        self._check_usable()
        self._counters.add_reset()
        self._ring.request_reset()

    def close(self) -> None:
        """End a running stream, wait for its threads and free the session's memory. Twice without harm.

        An ``infer`` in another thread is not interrupted: it finishes, and frees the memory on its way out.
        """
        if os.getpid() != self._pid:
            self._closed = True  # the threads and locks of the parent are not ours to wait for
            return
        with self._guard:
            if self._closed:
                return
            self._closed = True
            pipeline = self._pipeline
        if pipeline is not None:
            pipeline.stop()
            self._free()
        elif self._busy.acquire(blocking=False):
            self._unclaim()

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(
        self, source: Iterator[object], limit_ms: float | None, *, owned: bool
    ) -> Generator[Output, None, None]:
        self._claim()
        wait_ms = None if limit_ms is None else limit_ms * self._options.slots
        owned_results = self._options.results == "owned"  # others are the slot's until the next is asked for
        try:
            self._settle(limit_ms)
            pipeline = self._open_pipeline(source, owned)
            while True:
                self._check_usable()  # also in a forked child, where the reader's thread did not come along
                slot = self._next(pipeline, limit_ms)
                if slot is None:
                    break
                self._wait(slot, limit_ms)
                output = self._take(slot)
                if owned_results:
                    pipeline.release()
                yield output
                if not owned_results:
                    pipeline.release()
            self._check_usable()
        except EngineTimeoutError:
            wait_ms = _NO_WAIT_MS
            raise
        except DeviceLostError:
            self._lose()
            raise
        finally:
            try:
                self._close_pipeline(wait_ms)
            finally:  # an interrupt in there leaves the ring unsettled, which the next call mends
                self._unclaim()

    def _next(self, pipeline: Pipeline, limit_ms: float | None) -> Slot | None:
        try:
            return pipeline.next(limit_ms)
        except Empty:
            raise EngineTimeoutError(
                f"the source of this stream gave no frame within {limit_ms:g} ms (timeout_ms); the stream ends, frame "
                f"{self._next_id - 1} was its last"
            ) from None

    def _open_pipeline(self, source: Iterator[object], owned: bool) -> Pipeline:
        with self._guard:
            self._check_usable()
            self._ring.open_pipeline()
            self._pipeline = Pipeline(source, self._submit_item, self._wait_copied, self._options.slots, owned=owned)
            self._readers.add(self._pipeline)
            self._pipeline.start()
            return self._pipeline

    def _close_pipeline(self, wait_ms: float | None) -> None:
        if os.getpid() != self._pid:
            return
        try:
            if self._pipeline is not None:
                self._pipeline.stop(wait=wait_ms != _NO_WAIT_MS)
            self._ring.settle(wait_ms)
        except DeviceLostError:
            self._lose()
            raise
        finally:
            self._pipeline = None
            self._readers.prune()

    def _submit_item(self, item: object, handed_s: float) -> Slot:
        frame, timestamp = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
        return self._submit(frame, timestamp, handed_s)

    def _submit(self, frame: object, timestamp: object, handed_s: float) -> Slot:
        admitted = self._admit(frame)
        frame_id = self._next_id
        self._next_id += 1
        return self._ring.submit(admitted, frame_id, timestamp, handed_s)

    def _admit(self, frame: object) -> Frame | DeviceFrame | None:
        """``frame``, checked; None where it lies in its slot already."""
        if not isinstance(frame, np.ndarray) and is_on_device(frame):
            return self._ring.adopt(frame)
        checked = check_frame(frame, self._size_hw)
        return None if self._ring.owns(checked) else checked

    def _wait_copied(self, slot: Slot) -> None:
        """Block until a frame on the device is copied, for its owner may write to it or free it after that."""
        while slot.source is not None and not self._closed and not self._ring.wait_copied(slot, _COPY_LOOK_MS):
            pass

    def _wait(self, slot: Slot, limit_ms: float | None) -> None:
        begun_s = perf_counter()
        if not self._ring.wait(slot, limit_ms):
            raise _late(slot.frame_id, (perf_counter() - begun_s) * 1e3, limit_ms)

    def _take(self, slot: Slot) -> Output:
        with self._guard:  # a close from another thread frees what the result is taken from
            if self._pipeline is not None:
                self._check_usable()
            result, timing = self._ring.take(slot)
        self._counters.add_frame(timing, finite=result.finite, frame_id=slot.frame_id)
        timestamp, slot.timestamp = slot.timestamp, None
        return Output(*result, slot.frame_id, timestamp, timing.latency_ms)

    def _settle(self, limit_ms: float | None) -> None:
        begun_s = perf_counter()
        self._readers.reclaim(limit_ms)
        if not self._ring.settled and not self._ring.settle(limit_ms):
            raise EngineTimeoutError(
                f"earlier frames of this session, up to frame {self._next_id - 1}, are not done after another "
                f"{(perf_counter() - begun_s) * 1e3:.0f} ms (timeout_ms is {limit_ms:g}); this frame was not taken"
            )

    def _limit_ms(self, timeout_ms: float | None) -> float | None:
        return self._options.timeout_ms if timeout_ms is None else check_timeout(timeout_ms)

    def _check_usable(self) -> None:
        if os.getpid() != self._pid:
            raise EngineClosedError(
                f"the engine was opened in process {self._pid} and cannot be used in process {os.getpid()}, forked "
                "from it: its threads did not come along; open a new Engine in the child"
            )
        if self._closed:
            raise EngineClosedError(
                "the engine or session is closed; open a new Engine, or a new session of an open one"
            )

    def _lose(self) -> None:
        self._closed = True
        self._ring.abandon()

    def _claim(self) -> None:
        self._check_usable()
        if not self._busy.acquire(blocking=False):
            self._check_usable()
            raise EngineBusyError(
                "this session is in use: another thread is in infer(), or a stream() of it is not finished; "
                "take one engine.session() per thread or camera"
            )
        if self._closed:
            self._unclaim()
            self._check_usable()

    def _unclaim(self) -> None:
        self._busy.release()
        if self._closed:
            self._free()

    def _free(self) -> None:
        if os.getpid() != self._pid:
            return
        with self._guard:
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
            _LOG.warning("close: a frame is still not finished after %g ms; its memory is left to it", CLOSE_WAIT_MS)


def _late(frame_id: int, waited_ms: float, limit_ms: float | None) -> EngineTimeoutError:
    return EngineTimeoutError(
        f"frame {frame_id} was not ready after {waited_ms:.0f} ms (timeout_ms is {limit_ms:g}); "
        "its result is dropped, the state goes on with it"
    )
