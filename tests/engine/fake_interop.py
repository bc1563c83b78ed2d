"""The CUDA driver as ctypes sees it, and arrays of other libraries, on the miniature GPU of ``fake_cuda``."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from mostnet.engine.cuda.dlpack import export_capsule
from tests.toy_graph import frame_of

from .fake_cuda import BASE, Error, Event, Gpu, MemoryError_, Stream

LEGACY = 1


def driver_library(gpu: Gpu) -> SimpleNamespace:
    """The functions that the engine takes from the driver; the GPU's log gets ``("follow", ours, theirs)`` of waits."""
    events: dict[int, Event] = {}
    last: dict[int, int] = {}

    def guarded(work: Callable[[], None]) -> int:
        try:
            work()
        except MemoryError_:
            return 2
        except Error:
            return 700
        return 0

    def create(event: object, flags: int) -> int:
        assert flags == 2

        def work() -> None:
            made = Event(gpu, "cuEventCreate")
            handle = 0x5000 + gpu.calls["cuEventCreate"]
            events[handle] = made
            event._obj.value = handle

        return guarded(work)

    def record(event: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:
        if stream.value not in gpu.streams:
            return 400
        last[event.value] = stream.value
        return guarded(lambda: events[event.value].record(gpu.streams[stream.value]))

    def wait(stream: ctypes.c_void_p, event: ctypes.c_void_p, flags: int) -> int:
        assert flags == 0
        gpu.log.append(("follow", stream.value, last[event.value]))
        return guarded(lambda: gpu.streams[stream.value].wait_for_event(events[event.value]))

    def destroy(event: ctypes.c_void_p) -> int:
        del events[event.value]
        return 0

    def pointer_attribute(value: object, attribute: int, pointer: ctypes.c_uint64) -> int:
        assert attribute == 9
        if not BASE <= pointer.value < BASE + gpu.memory.size:
            return 1
        value._obj.value = 0
        return 0

    return SimpleNamespace(
        cuEventCreate=create,
        cuEventRecord=record,
        cuStreamWaitEvent=wait,
        cuEventDestroy_v2=destroy,
        cuPointerGetAttribute=pointer_attribute,
    )


class Produced:
    """Memory on the miniature GPU to which ``stream`` writes the frame of a number.

    ``interface`` entries replace those of ``__cuda_array_interface__``; None takes one away.
    """

    def __init__(self, gpu: Gpu, shape: tuple[int, ...], *, stream: Stream | None, handle: object = "own") -> None:
        self.gpu = gpu
        self.shape = shape
        self.stream = stream
        self.nbytes = int(np.prod(shape))
        self.address = gpu.allocate(self.nbytes)
        self.interface: dict[str, object] = {
            "version": 3,
            "shape": shape,
            "typestr": "|u1",
            "data": (self.address, False),
            "strides": None,
            "stream": stream.handle if stream is not None and handle == "own" else handle,
        }

    def write(self, number: int) -> Produced:
        """Enqueue the writing, or write at once without a stream."""

        def fill() -> None:
            self.gpu.array(self.address, self.shape, "uint8")[...] = frame_of(number)

        if self.stream is None:
            fill()
        else:
            self.stream.put(fill)
        return self

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return {name: value for name, value in self.interface.items() if value != "absent"}


class Tensor:
    """The same with DLPack alone, as in JAX; notes the streams that were asked for."""

    def __init__(self, produced: Produced, *, device: tuple[int, int] = (2, 0), dtype: str = "uint8") -> None:
        self.produced = produced
        self.device = device
        self.dtype = np.dtype(dtype)
        self.asked: list[object] = []
        self.owners: list[object] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int) -> object:
        self.asked.append(stream)
        if self.produced.stream is not None:
            event = Event(self.produced.gpu)
            event.record(self.produced.stream)
            self.produced.gpu.streams[stream].wait_for_event(event)
        return export_capsule(self.produced.address, self.produced.shape, self.dtype, self.produced)
