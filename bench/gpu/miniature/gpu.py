"""A GPU in miniature behind the names of ``pycuda.driver`` and ``cuda.bindings.driver``.

No operation runs when it is enqueued. Each query runs a few, in an order drawn by chance, out of those that no event
holds back: a missing wait therefore does its harm sooner or later. Memory is real, so that results depend on the order
of the operations. ``log`` names every operation as it is enqueued.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from weakref import WeakValueDictionary

import numpy as np

from .captures import TEXTS, CaptureModes

BASE = 0x7F00_0000_0000


class Error(Exception):
    """``pycuda.driver.Error``."""


class MemoryError_(Error):  # noqa: N801, N818
    """``pycuda.driver.MemoryError``."""


class LogicError(Error):
    """``pycuda.driver.LogicError``."""


class MiniatureGpu:
    """The device, and a record of its use.

    Attributes:
        log: operations enqueued, ``(name, *details)``.
        violations: misuse whose effect on real CUDA or pycuda is hard to trace.
        failures: by name of a call, how many succeed before one raises, and its error.
        lost: once set, every call fails with this text.
        stuck: no operation runs; ``awaited`` is set when a thread waits for one.
        alive: device objects not destroyed yet, by kind.
        captures: captures of other libraries, and the capture mode of each thread.
        graph_bytes: memory that graphs took when they were uploaded, or launched without that.
    """

    def __init__(self, seed: int = 0) -> None:
        self.memory = np.zeros(1 << 25, np.uint8)
        self.log: list[tuple[object, ...]] = []
        self.violations: list[str] = []
        self.failures: dict[str, tuple[int, Exception]] = {}
        self.calls: Counter[str] = Counter()
        self.alive: Counter[str] = Counter()
        self.lost: str | None = None
        self.stuck = False
        self.awaited = threading.Event()
        self.time_ms = 0.0
        self.captures = CaptureModes()
        self.graph_bytes = 0
        self.streams: WeakValueDictionary[int, MiniatureStream] = WeakValueDictionary()
        self._next = 0
        self._random = random.Random(seed)
        self._depths = threading.local()
        self._lock = threading.Lock()

    @property
    def depth(self) -> int:
        """How many times the context is pushed in this thread."""
        return getattr(self._depths, "value", 0)

    @depth.setter
    def depth(self, value: int) -> None:
        self._depths.value = value

    def call(self, name: str) -> None:
        """Enter the driver: raises without a pushed context, and where the call is to fail."""
        self.calls[name] += 1
        if self.depth == 0:
            self.violations.append(f"{name} without a context")
            raise LogicError(f"{name} failed: invalid device context")
        if self.lost is not None:
            raise LogicError(f"{name} failed: {self.lost}")
        self.check_capture(name)
        if name in self.failures:
            left, error = self.failures.pop(name)
            if left == 0:
                try:
                    raise error
                finally:
                    del error  # its traceback would keep every frame of the stack alive
            self.failures[name] = (left - 1, error)

    def check_capture(self, name: str) -> None:
        """Raise if a capture in another thread forbids the call ``name``."""
        if self.captures.forbid(name):
            self.violations.append(f"{name} breaks a capture of another thread")
            raise LogicError(f"{name} failed: {TEXTS[900]}")

    def made(self, kind: str) -> None:
        self.alive[kind] += 1

    def destroyed(self, kind: str) -> None:
        if self.depth == 0:
            self.violations.append(f"{kind} destroyed without a context: pycuda leaks it")
        self.alive[kind] -= 1

    def allocate(self, nbytes: int) -> int:
        address = BASE + self._next
        self._next += -(-nbytes // 256) * 256
        assert self._next <= self.memory.size, "the miniature GPU is full"
        self.memory[address - BASE :][:nbytes] = 0xAB
        return address

    def at(self, address: int, nbytes: int) -> np.ndarray:
        return self.memory[address - BASE :][:nbytes]

    def array(self, address: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.at(address, nbytes).view(dtype).reshape(shape)

    def advance(self, steps: int = 3) -> None:
        """Run at most ``steps`` operations."""
        if self.stuck:
            self.awaited.set()
            return
        for _ in range(steps):
            with self._lock:
                ready = [stream for stream in self.streams.values() if stream.queue and stream.queue[0][0]()]
                if not ready:
                    return
                self.time_ms += 0.01
                self._random.choice(ready).queue.popleft()[1]()

    def synchronize(self, call: str, done: Callable[[], bool]) -> None:
        """Run operations until ``done``, as a call in C that no signal ends."""
        self.call(call)
        while not done():
            if self.lost is not None:
                raise LogicError(f"{call} failed: {self.lost}")
            self.advance()
            time.sleep(1e-3 if self.stuck else 0)


class MiniatureStream:
    """``pycuda.driver.Stream``."""

    def __init__(self, gpu: MiniatureGpu, flags: int = 0) -> None:
        gpu.call("Stream")
        assert flags == 1, "a stream that waits for the legacy default stream"
        gpu.made("stream")
        self._gpu = gpu
        self.queue: deque[tuple[Callable[[], bool], Callable[[], None]]] = deque()
        self.capture: list[Callable[[], None]] | None = None
        self.handle = 0x1000 + gpu.calls["Stream"]
        gpu.streams[self.handle] = self

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self._gpu.destroyed("stream")

    def put(self, work: Callable[[], None], ready: Callable[[], bool] = lambda: True) -> None:
        if self.capture is not None:
            self.capture.append(work)
        else:
            self.queue.append((ready, work))

    def wait_for_event(self, event: MiniatureEvent) -> None:
        self._gpu.call("cuStreamWaitEvent")
        self._refuse_capture("wait_for_event")
        mark = event.recorded
        self.put(lambda: None, lambda: event.reached >= mark)

    def is_done(self) -> bool:
        self._gpu.call("cuStreamQuery")
        self._gpu.advance()
        return not self.queue

    def synchronize(self) -> MiniatureStream:
        self._gpu.synchronize("cuStreamSynchronize", lambda: not self.queue)
        return self

    def _refuse_capture(self, name: str) -> None:
        if self.capture is not None:
            self._gpu.violations.append(f"{name} in a capture")


class MiniatureEvent:
    """``pycuda.driver.Event``."""

    def __init__(self, gpu: MiniatureGpu, call: str = "Event") -> None:
        gpu.call(call)
        gpu.made("event")
        self._gpu = gpu
        self.recorded = self.reached = 0
        self.time_ms = 0.0

    def __del__(self) -> None:
        if hasattr(self, "time_ms"):
            self._gpu.destroyed("event")

    def record(self, stream: MiniatureStream) -> None:
        self._gpu.call("cuEventRecord")
        stream._refuse_capture("record")
        self.recorded += 1
        mark = self.recorded

        def reach() -> None:
            self.reached = max(self.reached, mark)
            if mark == self.recorded:
                self.time_ms = self._gpu.time_ms

        stream.put(reach)

    def query(self) -> bool:
        self._gpu.call("cuEventQuery")
        self._gpu.advance()
        return self.reached >= self.recorded

    def synchronize(self) -> MiniatureEvent:
        mark = self.recorded  # a record made during the wait is not waited for
        self._gpu.synchronize("cuEventSynchronize", lambda: self.reached >= mark)
        return self

    def time_till(self, later: MiniatureEvent) -> float:
        self._gpu.call("cuEventElapsedTime")
        for event in (self, later):
            if event.recorded == 0 or event.reached < event.recorded:
                raise LogicError("cuEventElapsedTime failed: not ready")
        if later.time_ms < self.time_ms:
            self._gpu.violations.append("events in the wrong order")
        return later.time_ms - self.time_ms


class MiniatureAllocation:
    """``pycuda.driver.DeviceAllocation`` and the base of a pinned array."""

    def __init__(self, gpu: MiniatureGpu, kind: str, nbytes: int) -> None:
        self._gpu, self._kind, self._freed = gpu, kind, False
        gpu.made(kind)
        self.address = gpu.allocate(nbytes)
        self.host = gpu.at(self.address, nbytes)
        self.__array_interface__ = self.host.__array_interface__

    def __int__(self) -> int:
        return self.address

    def free(self) -> None:
        if self._freed:
            self._gpu.violations.append(f"{self._kind} freed twice")
        self._freed = True
        self._gpu.check_capture("cuMemFree")
        self._gpu.destroyed(self._kind)
