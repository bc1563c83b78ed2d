"""The CUDA driver as ctypes sees it, on the miniature GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .captures import TEXTS
from .gpu import BASE, MiniatureError, MiniatureEvent, MiniatureGpu, MiniatureMemoryError

#: CUDA_ERROR_INVALID_VALUE, _OUT_OF_MEMORY, _INVALID_HANDLE, _NOT_READY and _ILLEGAL_ADDRESS.
_INVALID, _NO_MEMORY, _NO_HANDLE, _NOT_READY, _LOST = 1, 2, 400, 600, 700

#: CU_EVENT_DISABLE_TIMING and CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL.
_NO_TIMING, _DEVICE_ORDINAL = 2, 9

#: CUdevice_attribute of the compute capability, which is 8.6.
_CAPABILITY = {75: 8, 76: 6}


def driver_library(gpu: MiniatureGpu) -> SimpleNamespace:
    """The functions that the engine takes from the driver. A wait adds ``("follow", ours, theirs)`` to ``gpu.log``."""
    events: dict[int, MiniatureEvent] = {}
    last: dict[int, int] = {}

    def guarded(work: Callable[[], None]) -> int:
        try:
            work()
        except MiniatureMemoryError:
            return _NO_MEMORY
        except MiniatureError:
            return _LOST
        return 0

    def create(event: Any, flags: int) -> int:
        assert flags == _NO_TIMING

        def work() -> None:
            made = MiniatureEvent(gpu, "cuEventCreate")
            handle = 0x5000 + gpu.calls["cuEventCreate"]
            events[handle] = made
            event._obj.value = handle

        return guarded(work)

    def record(event: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:
        if _number(stream) not in gpu.streams:
            return _NO_HANDLE
        last[_number(event)] = _number(stream)
        return guarded(lambda: events[_number(event)].record(gpu.streams[_number(stream)]))

    def wait(stream: ctypes.c_void_p, event: ctypes.c_void_p, flags: int) -> int:
        assert flags == 0
        gpu.log.append(("follow", _number(stream), last[_number(event)]))
        return guarded(lambda: gpu.streams[_number(stream)].wait_for_event(events[_number(event)]))

    def is_capturing(stream: ctypes.c_void_p, captured: Any) -> int:
        if gpu.lost is not None:
            return _LOST
        if _number(stream) not in gpu.streams:
            return _NO_HANDLE
        captured._obj.value = int(gpu.streams[_number(stream)].capture is not None)
        return 0

    def destroy(event: ctypes.c_void_p) -> int:
        del events[_number(event)]
        return 0

    def pointer_attribute(value: Any, attribute: int, pointer: ctypes.c_uint64) -> int:
        assert attribute == _DEVICE_ORDINAL
        if not BASE <= pointer.value < BASE + gpu.memory.size:
            return _INVALID
        value._obj.value = 0
        return 0

    def count(value: Any) -> int:
        value._obj.value = 1
        return 0

    def device(value: Any, ordinal: int) -> int:
        value._obj.value = ordinal
        return 0

    def device_attribute(value: Any, attribute: int, device: ctypes.c_int) -> int:
        value._obj.value = _CAPABILITY[attribute]
        return 0

    def exchange(mode: Any) -> int:
        gpu.calls["cuThreadExchangeStreamCaptureMode"] += 1
        if gpu.lost is not None:
            return _LOST
        mode._obj.value = gpu.captures.exchange(mode._obj.value)
        return 0

    def error_string(status: int, text: Any) -> int:
        known = {
            **TEXTS,
            _NO_MEMORY: "out of memory",
            _NO_HANDLE: "invalid resource handle",
            _NOT_READY: "device not ready",
            _LOST: gpu.lost or "an illegal memory access",
        }
        text._obj.value = known[status].encode() if status in known else None
        return 0 if status in known else _INVALID

    return SimpleNamespace(
        cuInit=lambda flags: 0,
        cuDeviceGetCount=count,
        cuDeviceGet=device,
        cuDeviceGetAttribute=device_attribute,
        cuThreadExchangeStreamCaptureMode=exchange,
        cuGetErrorString=error_string,
        cuEventCreate=create,
        cuEventRecord=record,
        cuStreamWaitEvent=wait,
        cuStreamIsCapturing=is_capturing,
        cuEventDestroy_v2=destroy,
        cuPointerGetAttribute=pointer_attribute,
    )


def _number(handle: ctypes.c_void_p) -> int:
    return handle.value or 0
