"""The caller's interface to one stream of frames.

``usage`` decides who may call, ``frame_runner`` takes one frame through the ring, ``streaming`` runs a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Literal, NoReturn, SupportsIndex, TypeVar

import numpy as np
import numpy.typing as npt

from mostnet.contract import EngineBusyError, EngineCopyError, Frame, Metadata, OutputName
from mostnet.contract.terminal import counted
from mostnet.engine.streams.pipeline import Readers
from mostnet.engine.streams.sources import Source, is_path, open_source
from mostnet.engine.streams.streaming import Streaming

from .frame_runner import FrameRunner, late_error
from .interfaces import DeviceLostError, Model
from .options import Options, check_timeout
from .output import Counters, EngineStats, Output
from .ring import Ring
from .usage import Claim, Usage

S = TypeVar("S", bound="Session")
T = TypeVar("T")

#: ONNX Runtime plans its memory in the first run and takes it in the second.
_WARM_UPS = 2


class Session:
    """One stream of frames with its own state, buffers, frame numbers and statistics, made by ``Engine.session``.

    Any thread may use it, but only one at a time. Any thread may call ``reset``, ``stats`` and ``close`` at any time.

    Errors raised by every call:
        EngineBusyError: another thread is in ``infer``, or a stream of this session is not finished.
        EngineClosedError: after ``close``, or in a process forked from the one that opened the engine.
        DeviceError: the device failed; if it says that the context is lost, the session is closed.
    """

    _usage_kind: type[Usage] = Usage

    def __init__(self, model: Model, options: Options) -> None:
        self._model = model
        self._options = options
        self._size_hw = model.metadata.size_hw
        self._lane = model.lane(options.slots, options.outputs, results=options.results)
        self._ring = Ring(self._lane)
        self._readers = Readers()
        self._usage = self._usage_kind(self._ring, self._readers)
        self._counters = Counters()
        self._frames = FrameRunner(self._ring, self._readers, self._counters, self._size_hw)
        self._streaming = Streaming(self._ring, self._usage, self._frames, self._readers, self._counters, options)

    @property
    def metadata(self) -> Metadata:
        """The description in the model file: variant, frame size, precision, states."""
        return self._model.metadata

    @property
    def path(self) -> Path:
        """The model file, as the engine was given it."""
        return self._model.path

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the frames, in pixels."""
        return self._size_hw

    @property
    def outputs(self) -> tuple[OutputName, ...]:
        """The outputs that results hold, as they were asked for."""
        return tuple(self._options.outputs)

    @property
    def provider(self) -> str:
        """The kind of device that runs the network: ``cpu`` or ``cuda``."""
        return self._model.provider

    @property
    def device(self) -> int | None:
        """CUDA's number of the GPU that runs the network; None on the CPU."""
        return self._model.device

    @property
    def closed(self) -> bool:
        """True after ``close``, after the loss of the device, and in a process forked from the engine's."""
        return self._usage.closed or self._usage.is_forked

    @property
    def stats(self) -> EngineStats:
        """The statistics so far, also after ``close``."""
        return self._counters.snapshot()

    def warm_up(self) -> None:
        """Run the network twice, so that the first frame takes no longer than the others.

        State, frame numbers, statistics, a requested reset and a lent input buffer stay as they are. A borrowed or
        device result expires as if one frame had been submitted. A plan is warm when it opens, so this adds little.
        The same threads may call this as ``infer``, and it waits without limit.
        """
        self._alone(self._options.timeout_ms, self._warm_up)

    def __call__(self, frame: npt.NDArray[Any], timestamp: object = None, *, timeout_ms: float | None = None) -> Output:
        """The same as ``infer``."""
        return self.infer(frame, timestamp, timeout_ms=timeout_ms)

    def infer(self, frame: npt.NDArray[Any], timestamp: object = None, *, timeout_ms: float | None = None) -> Output:
        """Run one frame and wait for its result.

        A frame that fails does not count: the next one continues from the state before it. A frame that is late
        counts, and its result is dropped. On the CPU the network runs in the calling thread, and ``timeout_ms`` does
        not interrupt it: a late frame is reported once it is done.

        Args:
            frame: uint8 ``(H, W, 3)`` BGR of the model's size, copied before this returns. It is a NumPy array, or the
                buffer that ``input_buffer`` lent, which is not copied. An engine that runs a plan also takes a
                contiguous array on the GPU with DLPack or ``__cuda_array_interface__``. It copies that array on the
                device, after the work in the stream that the producer names. After an EngineTimeoutError, the copy may
                be pending until the next call succeeds.
            timestamp: any object; ``Output.timestamp`` returns it.
            timeout_ms: longest time to the result; by default the engine's.

        Raises:
            FrameError: wrong shape, dtype or device, or a stale input buffer; nothing has changed.
            EngineTimeoutError: not ready within ``timeout_ms``.
        """
        handed_s = perf_counter()
        limit_ms = self._limit_ms(timeout_ms)
        return self._alone(limit_ms, lambda: self._infer(frame, timestamp, handed_s, limit_ms))

    def stream(
        self, source: Source, *, timeout_ms: float | None = None, drop: Literal["oldest"] | None = None
    ) -> Generator[Output, None, None]:
        """Run frames as they come and yield each result when it is ready, in order.

        A thread reads ``source`` and copies each one before it asks for the next, at most ``slots`` frames ahead of
        the consumer. An error of the source, a refused frame or a failure ends the stream. It is raised unchanged,
        after the results of all frames before it.

        The stream also ends when the consumer leaves the loop, when this generator or the engine is closed, and when
        the process exits. Frames read ahead are finished and stay part of the state, but their results are dropped. A
        source blocked in ``next`` cannot be interrupted: the stream waits two seconds for its daemon thread, then
        leaves it to end by itself without touching the session again. An iterator that is passed in stays open, and up
        to ``slots + 1`` of its frames have been taken beyond the last result. An iterator that ``iter`` made for this
        stream is closed.

        With ``drop="oldest"`` the engine always works on the newest frame of a live source. The source is read without
        a pause, and each frame is copied. Only the newest one waits, and takes the place of the one before, which
        ``stats.dropped`` counts. A frame begins when the consumer has taken the result before. So a result is as old
        as the network takes, plus one frame period at most; a loop that takes longer than the network adds the
        difference. ``frame_id`` counts the frames that ran: a dropped frame has no number and is no part of the state.
        The last frame of the source always runs.

        Args:
            source: frames as ``infer`` takes them, or pairs ``(frame, timestamp)``; or the path of a video of the
                engine's size, whose time stamps are seconds since its first frame, as float; or a ``cv2.VideoCapture``,
                which stays open and gives no time stamps. A path finds a damaged file, and a capture does not. With
                ``drop``, a source gives frames on the host, from memory of its own, and is no path.
            timeout_ms: longest wait for the source to give the next frame, and then for its result, from the moment
                the consumer asks for it; by default the engine's. A timeout ends the stream, and the next call of the
                session waits for the frames still in flight.
            drop: None lets the source wait for the engine; ``oldest`` drops frames for which the engine has no time.

        Raises:
            ValueError: ``drop`` is unknown, or ``source`` is a path and ``drop`` is given.
            FrameError, EngineTimeoutError: as ``infer``; while iterating. Also if a video has another size.
            VideoError: a video or capture cannot be read or is damaged; while iterating.
            BackendNotInstalledError: ``source`` is a path, and PyAV or OpenCV is not installed; while iterating.
        """
        limit_ms = self._limit_ms(timeout_ms)
        if drop not in (None, "oldest"):
            raise ValueError(f"unknown drop {drop!r}; expected 'oldest', or None to drop no frame")
        if drop is not None and is_path(source):
            raise ValueError(f"{source}: a file is no live source, and drop would drop most of it; leave drop out")
        self._usage.check()
        frames = open_source(source, self._size_hw)
        return self._streaming.run(frames, limit_ms, owned=frames is not source, newest=drop is not None)

    def input_buffer(self, *, timeout_ms: float | None = None) -> Frame:
        """Lend the memory that the next frame is uploaded from, so that a camera can write it there.

        Fill it and hand it in as the next frame, to ``infer`` or from the source of ``stream``: it is not copied. From
        then on it belongs to the engine again. Handing in any other frame instead also ends the loan and overwrites
        the buffer. In a stream, only the source may call this, once per frame, and the call waits for a free slot::

            def camera():
                while True:
                    buffer = engine.input_buffer()
                    sdk.read_into(buffer)
                    yield buffer

        A source that calls this after its stream has ended gets an ordinary array, which will not be run. The memory
        stays writable after ``close``.

        Args:
            timeout_ms: longest wait for the slot. In a stream it is a wait for the consumer, by default without limit.
                Otherwise it is a wait for earlier, late frames, by default as long as the engine's ``timeout_ms``.

        Returns:
            uint8 ``(H, W, 3)``, contiguous, page-locked if the engine runs a plan; its content is undefined.

        Raises:
            EngineTimeoutError: no slot was free within ``timeout_ms``.
            EngineBusyError: also if a stream runs and the caller is not its source, or the stream drops frames.
        """
        wait_ms = check_timeout(timeout_ms)
        self._usage.check()
        pipeline = self._readers.here()
        if pipeline is not None and not pipeline.lends:
            raise EngineBusyError(
                "a stream with drop='oldest' lends no input buffer, because its newest frame waits outside of the "
                "slots; yield an array of your own"
            )
        if pipeline is not None:
            buffer = pipeline.lend(self._ring.lend, wait_ms)
            self._usage.check()
            return np.empty((*self._size_hw, 3), np.uint8) if buffer is None else buffer
        return self._alone(self._limit_ms(timeout_ms), self._ring.lend)

    def reset(self) -> None:
        """Start a new clip: the next frame that is submitted starts from zero state. Frame numbers go on."""
        self._usage.check()
        self._counters.add_reset()
        self._ring.request_reset()

    def close(self) -> None:
        """End a running stream, wait for its threads and free the session's memory. May be called twice.

        Dropping the last reference to the session and its stream does the same.
        An ``infer`` in another thread is not interrupted: it finishes, then frees the memory.
        """
        self._usage.close()

    def __repr__(self) -> str:
        about = self.metadata
        place = self.provider if self.device is None else f"{self.provider}:{self.device}"
        state = f"{'closed' if self.closed else 'open'}, {counted(self.stats.frames, 'frame')}"
        return (
            f"<{type(self).__name__} {self.path.name}: {about.variant} {self._size_hw[0]}x{self._size_hw[1]} "
            f"{about.precision} on {place}, {state}>"
        )

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Refuse to be copied or pickled."""
        self._refuse_copy()

    def _refuse_copy(self) -> NoReturn:
        raise EngineCopyError(
            "a Session has state and memory of its own and is neither copied nor pickled; take another "
            "engine.session(), or pickle its Engine for another process"
        )

    def __enter__(self: S) -> S:
        """Check that the session is open, and close it at the end of the block.

        Raises:
            EngineClosedError: it is closed.
        """
        self._usage.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _alone(self, limit_ms: float | None, work: Callable[[], T]) -> T:
        """Call ``work`` while no other call uses the session and no frame is in flight."""
        claim = Claim()
        try:
            self._usage.enter(claim)
            self._frames.settle(limit_ms)
            return work()
        except DeviceLostError:
            self._usage.lose()
            raise
        finally:
            claim.over = True
            self._usage.leave()

    def _warm_up(self) -> None:
        for _ in range(_WARM_UPS):
            self._ring.rehearse()

    def _infer(self, frame: npt.NDArray[Any], timestamp: object, handed_s: float, limit_ms: float | None) -> Output:
        slot = self._frames.submit(frame, timestamp, handed_s)
        self._frames.wait(slot, limit_ms)
        output = self._frames.finish(slot, *self._ring.take(slot))
        if limit_ms is not None and output.latency_ms > limit_ms:
            raise late_error(slot.frame_id, output.latency_ms, limit_ms)
        return output

    def _limit_ms(self, timeout_ms: float | None) -> float | None:
        return self._options.timeout_ms if timeout_ms is None else check_timeout(timeout_ms)
