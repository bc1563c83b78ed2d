"""A GPU in miniature behind the names of ``pycuda.driver`` and ``cuda.bindings.driver``.

No operation runs when it is enqueued. Each query runs a few of the operations that no event holds back, in random
order. A missing wait therefore does harm sooner or later. Memory is real, so that results depend on the order of the
operations. ``log`` names every operation as it is enqueued.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from .captures import TEXTS, CaptureModes

#: Address of the first byte of the memory.
BASE = 0x7F00_0000_0000


class MiniatureError(Exception):
    """``pycuda.driver.Error``: a call of the driver failed."""


class MiniatureMemoryError(MiniatureError):
    """``pycuda.driver.MemoryError``: an allocation does not fit."""


class MiniatureLogicError(MiniatureError):
    """``pycuda.driver.LogicError``: a call is wrong, or the context is lost."""


class _ContextStack(threading.local):
    """The contexts that a thread has pushed, the current one last."""

    def __init__(self) -> None:
        self.pushed: list[MiniatureGpu] = []


class MiniatureGpu:
    """The device, and a record of its use.

    Attributes:
        number: CUDA's number of the device.
        devices: all devices of the machine, by their numbers.
        log: operations enqueued, ``(name, *details)``.
        violations: misuse whose effect on real CUDA or pycuda is hard to trace.
        failures: by name of a call, how many succeed before one raises, and its error.
        calls: how often each call was made, by its name.
        alive: device objects not destroyed yet, by kind.
        lost: once set, every call fails with this text.
        stuck: no operation runs; ``awaited`` is set when a thread waits for one.
        time_ms: the device's clock.
        device_bytes: device memory in use.
        graph_bytes: memory of graphs, taken at their upload, or at the first launch without one.
        captures: captures in progress, and the capture mode of each thread.
        streams: the streams that exist, by their handle.
    """

    def __init__(self, seed: int = 0, *, nbytes: int = 1 << 25, beside: MiniatureGpu | None = None) -> None:
        """A device alone, or one more in the machine of ``beside``.

        ``seed`` draws the order of operations; device and pinned memory share ``nbytes``.
        """
        self.devices: list[MiniatureGpu] = [] if beside is None else beside.devices
        self.number = len(self.devices)
        self.devices.append(self)
        self.base = BASE + (self.number << 40)
        self._contexts: _ContextStack = _ContextStack() if beside is None else beside._contexts
        self.memory = np.zeros(nbytes, np.uint8)
        self.log: list[tuple[object, ...]] = []
        self.violations: list[str] = []
        self.failures: dict[str, tuple[int, Exception]] = {}
        self.calls: Counter[str] = Counter()
        self.alive: Counter[str] = Counter()
        self.lost: str | None = None
        self.stuck = False
        self.awaited = threading.Event()
        self.time_ms = 0.0
        self.device_bytes = 0
        self.graph_bytes = 0
        self.captures: CaptureModes = CaptureModes() if beside is None else beside.captures
        self.streams: WeakValueDictionary[int, MiniatureStream] = WeakValueDictionary()
        self._next = 0
        self._given_back: defaultdict[int, deque[int]] = defaultdict(deque)
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def depth(self) -> int:
        """How many contexts of the machine are pushed in this thread; setting it pushes or pops this device's."""
        return len(self._contexts.pushed)

    @depth.setter
    def depth(self, value: int) -> None:
        pushed = self._contexts.pushed
        pushed[value:] = [self] * (value - len(pushed))

    @property
    def current(self) -> MiniatureGpu:
        """The device whose context is current in this thread; this one if there is none."""
        return self._contexts.pushed[-1] if self._contexts.pushed else self

    def handle(self, count: int) -> int:
        """A handle that no object of another device has."""
        return (self.number << 40) + count

    def call(self, name: str) -> None:
        """Enter the driver. It raises without a pushed context, or if the call is to fail."""
        self.calls[name] += 1
        if self.depth == 0 or self.current is not self:
            self.violations.append(f"{name} without a context")
            raise MiniatureLogicError(f"{name} failed: invalid device context")
        if self.lost is not None:
            raise MiniatureLogicError(f"{name} failed: {self.lost}")
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
        """Raise if a capture forbids the call ``name``."""
        if self.captures.forbid(name):
            self.violations.append(f"{name} breaks a capture")
            raise MiniatureLogicError(f"{name} failed: {TEXTS[900]}")

    def made(self, kind: str) -> None:
        """Count a new object."""
        self.alive[kind] += 1

    def destroyed(self, kind: str) -> None:
        """Count an object that is gone."""
        if self.depth == 0 or self.current is not self:
            self.violations.append(f"{kind} destroyed without a context: pycuda leaks it")
        self.alive[kind] -= 1

    def allocate(self, nbytes: int) -> int:
        """Address of new memory, filled with 0xAB.

        Raises:
            MiniatureMemoryError: the memory is full.
        """
        size = _rounded(nbytes)
        if self._given_back[size]:
            address = self._given_back[size].popleft()
        elif self._next + size <= self.memory.size:
            address = self.base + self._next
            self._next += size
        else:
            raise MiniatureMemoryError("cuMemAlloc failed: out of memory")
        self.at(address, nbytes).fill(0xAB)
        return address

    def give_back(self, address: int, nbytes: int) -> None:
        """Let a later allocation of the same size have the memory at ``address``."""
        self._given_back[_rounded(nbytes)].append(address)

    def at(self, address: int, nbytes: int) -> npt.NDArray[np.uint8]:
        """The bytes at ``address``, as a view."""
        return self.memory[address - self.base :][:nbytes]

    def array(self, address: int, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """The tensor at ``address``, as a view."""
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.at(address, nbytes).view(dtype).reshape(shape)

    @property
    def works(self) -> bool:
        """Whether it runs operations: it is neither stuck nor lost."""
        return not self.stuck and self.lost is None

    def pass_time(self, ms: float) -> None:
        """Let an operation last ``ms``."""
        self.time_ms += ms

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
                self.pass_time(0.01)
                self._random.choice(ready).queue.popleft()[1]()

    def synchronize(self, call: str, done: Callable[[], bool]) -> None:
        """Run operations until ``done``, as a call in C that no signal ends."""
        self.call(call)
        while not done():
            if self.lost is not None:
                raise MiniatureLogicError(f"{call} failed: {self.lost}")
            self.advance()
            time.sleep(1e-3 if self.stuck else 0)


class MiniatureStream:
    """``pycuda.driver.Stream``.

    Attributes:
        gpu: the device.
        queue: operations enqueued, each in a pair with a test of whether it may run.
        capture: operations of the capture in progress; None outside.
        handle: the ``CUstream``.
    """

    def __init__(self, gpu: MiniatureGpu, flags: int = 0) -> None:
        gpu.call("Stream")
        assert flags == 1, "a stream that waits for the legacy default stream"
        gpu.made("stream")
        self.gpu = gpu
        self.queue: deque[tuple[Callable[[], bool], Callable[[], object]]] = deque()
        self.capture: list[Callable[[], object]] | None = None
        self.handle = gpu.handle(0x1000 + gpu.calls["Stream"])
        gpu.streams[self.handle] = self

    def __del__(self) -> None:
        """Destroy the stream; the device still does its work, apart from what waits for another stream."""
        if hasattr(self, "handle"):
            while self.queue and self.gpu.works and self.queue[0][0]():
                self.queue.popleft()[1]()
            self.gpu.destroyed("stream")

    def put(self, work: Callable[[], object], ready: Callable[[], bool] = lambda: True) -> None:
        """Enqueue an operation, which runs once ``ready`` is true; in a capture, record it."""
        if self.capture is not None:
            self.capture.append(work)
        else:
            self.queue.append((ready, work))

    def wait_for_event(self, event: MiniatureEvent) -> None:
        """Hold back later operations until the latest record of ``event`` is reached."""
        self.gpu.call("cuStreamWaitEvent")
        self.refuse_capture("wait_for_event")
        mark = event.recorded
        self.put(lambda: None, lambda: event.reached >= mark)

    def is_done(self) -> bool:
        """Whether no operation is left; runs a few."""
        self.gpu.call("cuStreamQuery")
        self.gpu.advance()
        return not self.queue

    def synchronize(self) -> MiniatureStream:
        """Run operations until none is left."""
        self.gpu.synchronize("cuStreamSynchronize", lambda: not self.queue)
        return self

    def refuse_capture(self, name: str) -> None:
        """Note misuse if the stream captures, because a capture cannot record the call ``name``."""
        if self.capture is not None:
            self.gpu.violations.append(f"{name} in a capture")


class MiniatureEvent:
    """``pycuda.driver.Event``.

    Attributes:
        recorded: number of its records.
        reached: the latest record that the device has reached.
        time_ms: when the device reached it, on the device's clock.
    """

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
        """Enqueue a record, which sets the event's time."""
        self._gpu.call("cuEventRecord")
        stream.refuse_capture("record")
        self.recorded += 1
        mark = self.recorded

        def reach() -> None:
            self.reached = max(self.reached, mark)
            if mark == self.recorded:
                self.time_ms = self._gpu.time_ms

        stream.put(reach)

    def query(self) -> bool:
        """Whether the latest record is reached; runs a few operations."""
        self._gpu.call("cuEventQuery")
        self._gpu.advance()
        return self.reached >= self.recorded

    def synchronize(self) -> MiniatureEvent:
        """Run operations until the latest record is reached."""
        mark = self.recorded  # a record made during the wait is not waited for
        self._gpu.synchronize("cuEventSynchronize", lambda: self.reached >= mark)
        return self

    def time_till(self, later: MiniatureEvent) -> float:
        """Milliseconds from this event to ``later``."""
        self._gpu.call("cuEventElapsedTime")
        for event in (self, later):
            if event.recorded == 0 or event.reached < event.recorded:
                raise MiniatureLogicError("cuEventElapsedTime failed: device not ready")
        if later.time_ms < self.time_ms:
            self._gpu.violations.append("events in the wrong order")
        return later.time_ms - self.time_ms


class MiniatureAllocation:
    """``pycuda.driver.DeviceAllocation``, or the base of a pinned array; freed when nothing refers to it.

    Attributes:
        address: where it begins.
    """

    def __init__(self, gpu: MiniatureGpu, kind: str, nbytes: int) -> None:
        self._gpu, self._kind, self._nbytes = gpu, kind, nbytes
        self.address = gpu.allocate(nbytes)
        self._freed = False
        gpu.made(kind)
        self._count(nbytes)
        self.__array_interface__ = gpu.at(self.address, nbytes).__array_interface__

    def __int__(self) -> int:
        return self.address

    def __del__(self) -> None:
        if not getattr(self, "_freed", True):
            self.free()

    def free(self) -> None:
        """Give the memory back."""
        if self._freed:
            self._gpu.violations.append(f"{self._kind} freed twice")
            return
        self._freed = True
        self._gpu.check_capture("cuMemFree")
        self._count(-self._nbytes)
        self._gpu.give_back(self.address, self._nbytes)
        self._gpu.destroyed(self._kind)

    def _count(self, nbytes: int) -> None:
        if self._kind == "device memory":
            self._gpu.device_bytes += nbytes


def _rounded(nbytes: int) -> int:
    return -(-nbytes // 512) * 512
