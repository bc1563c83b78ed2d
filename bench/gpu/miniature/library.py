"""The CUDA driver as ctypes sees it, on the miniature GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .captures import TEXTS
from .gpu import BASE, Error, MemoryError_, MiniatureEvent, MiniatureGpu


def driver_library(gpu: MiniatureGpu) -> SimpleNamespace:
    """The functions that the engine takes from the driver; the GPU's log gets ``("follow", ours, theirs)`` of waits."""
    events: dict[int, MiniatureEvent] = {}
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
            made = MiniatureEvent(gpu, "cuEventCreate")
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

    def exchange(mode: Any) -> int:
        gpu.calls["cuThreadExchangeStreamCaptureMode"] += 1
        if gpu.lost is not None:
            return 700
        mode._obj.value = gpu.captures.exchange(mode._obj.value)
        return 0

    def error_string(status: int, text: Any) -> int:
        known = {
            **TEXTS,
            2: "out of memory",
            400: "invalid resource handle",
            700: gpu.lost or "an illegal memory access",
        }
        text._obj.value = known[status].encode() if status in known else None
        return 0 if status in known else 1

    return SimpleNamespace(
        cuThreadExchangeStreamCaptureMode=exchange,
        cuGetErrorString=error_string,
        cuEventCreate=create,
        cuEventRecord=record,
        cuStreamWaitEvent=wait,
        cuEventDestroy_v2=destroy,
        cuPointerGetAttribute=pointer_attribute,
    )
