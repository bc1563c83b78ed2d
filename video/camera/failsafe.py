"""Wait a limited time for each result, so that a late or failed engine never holds up the picture."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from mostnet.contract import Frame, FrameError
from mostnet.engine import Output, Session

#: Longest wait for a result; also the wait until the engine's usual latency is known.
_LONGEST_S = 2.0
_WARM_UP = 5
#: A result is late after this multiple of the engine's usual latency.
_SLACK = 1.5


@dataclass(frozen=True)
class Attempt:
    """The outcome of one frame.

    Attributes:
        output: the engine's result; None if the frame is to be shown unprocessed.
        problem: why there is no result; empty otherwise.
        late: results of earlier frames that came too late to be shown; the stabiliser still needs their motion.
    """

    output: Output | None
    problem: str
    late: tuple[Output, ...] = ()


class FailSafe:
    """Runs frames through an engine in a thread of its own and waits for each result no longer than a limit.

    An ``Attempt`` has no output if its frame was late, failed, or came while an earlier one was still being processed.
    Only one thread at a time may call ``infer``.
    """

    def __init__(self, engine: Session, *, period_ms: float, limit_ms: float | None = None) -> None:
        """Start the thread.

        Args:
            engine: must not be used by anything else meanwhile.
            period_ms: time between frames of the camera; no result is late before that.
            limit_ms: fixed limit; by default one and a half times the usual latency, at least ``period_ms`` and at most
                two seconds.
        """
        self._engine = engine
        self._period_s = period_ms / 1e3
        self._fixed_s = None if limit_ms is None else limit_ms / 1e3
        self._latencies: deque[float] = deque(maxlen=25)
        self._change = threading.Condition()
        self._job: tuple[Frame, object] | None = None
        self._done: Output | Exception | None = None
        self._busy = self._closed = False
        self._thread = threading.Thread(target=self._work, name="mostnet-failsafe", daemon=True)
        self._thread.start()

    @property
    def limit_ms(self) -> float:
        """Longest wait for the next result."""
        return self._limit_s() * 1e3

    def infer(self, frame: Frame, *, timestamp: object = None) -> Attempt:
        """Run one frame, uint8 ``(H, W, 3)`` of the engine's size; returns within ``limit_ms``.

        Raises:
            FrameError: wrong shape or dtype, such as a camera of another size; no later frame would fit either.
        """
        limit_s = self._limit_s()
        with self._change:
            missed = self._collect()
            late = (missed,) if isinstance(missed, Output) else ()
            if self._busy:
                return Attempt(None, "engine late", late)
            self._job, self._busy = (frame, timestamp), True
            self._change.notify_all()
            in_time = self._change.wait_for(lambda: not self._busy, timeout=limit_s)
            found = self._collect() if in_time else None
        if isinstance(found, Output):
            return Attempt(found, "", late)
        if isinstance(found, FrameError):
            raise found
        if isinstance(found, Exception):
            return Attempt(None, f"engine fault: {' '.join(str(found).split())}", late)
        return Attempt(None, "engine late", late)

    def close(self) -> None:
        """End the thread after at most two seconds for the current frame; closing twice does nothing."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join(timeout=2.0)

    def _limit_s(self) -> float:
        if self._fixed_s is not None:
            return self._fixed_s
        if len(self._latencies) < _WARM_UP:
            return max(_LONGEST_S, self._period_s)
        # Without the upper bound, an engine that gets slower and slower would never be late.
        return max(self._period_s, min(_SLACK * median(self._latencies), _LONGEST_S))

    def _collect(self) -> Output | Exception | None:
        done, self._done = self._done, None
        return done

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._job is not None)
                if self._job is None:
                    return
                (frame, timestamp), self._job = self._job, None
            begun_s = perf_counter()
            result: Output | Exception
            try:
                result = self._engine.infer(frame, timestamp=timestamp)
            except Exception as error:  # passed to the calling thread, which shows it on the picture
                result = error
            with self._change:
                self._latencies.append(perf_counter() - begun_s)
                self._done, self._busy = result, False
                self._change.notify_all()
