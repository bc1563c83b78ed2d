"""The CUDA driver as ctypes sees it, on the miniature GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .captures import TEXTS
from .gpu import MiniatureError, MiniatureEvent, MiniatureGpu, MiniatureMemoryError

#: CUDA_ERROR_INVALID_VALUE, _OUT_OF_MEMORY, _INVALID_HANDLE, _NOT_READY and _ILLEGAL_ADDRESS.
_INVALID, _NO_MEMORY, _NO_HANDLE, _NOT_READY, _LOST = 1, 2, 400, 600, 700

#: CU_EVENT_DISABLE_TIMING and CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL.
_NO_TIMING, _DEVICE_ORDINAL = 2, 9

#: CUdevice_attribute of the compute capability, which is 8.6.
_CAPABILITY = {75: 8, 76: 6}


def driver_library(gpu: MiniatureGpu) -> SimpleNamespace:
    """The functions that the engine takes from the driver. A wait adds ``("follow", ours, theirs)`` to ``gpu.log``."""
    events, queries = _EventCalls(gpu), _QueryCalls(gpu)
    return SimpleNamespace(
        cuInit=lambda flags: 0,
        cuDeviceGetCount=lambda count: _give(count, len(gpu.devices)),
        cuDeviceGet=_give,
        cuDeviceGetAttribute=lambda value, attribute, device: _give(value, _CAPABILITY[attribute]),
        cuThreadExchangeStreamCaptureMode=queries.exchange,
        cuGetErrorString=queries.error_string,
        cuPointerGetAttribute=queries.pointer_attribute,
        cuEventCreate=events.create,
        cuEventRecord=events.record,
        cuStreamWaitEvent=events.wait,
        cuStreamIsCapturing=events.is_capturing,
        cuEventDestroy_v2=events.destroy,
    )


class _DriverCalls:
    """Calls that go to the device whose context is current."""

    def __init__(self, gpu: MiniatureGpu) -> None:
        self._any = gpu

    @property
    def _gpu(self) -> MiniatureGpu:
        return self._any.current


class _EventCalls(_DriverCalls):
    """Events of the driver by their handles, and what streams do with them. Every method returns a ``CUresult``."""

    def __init__(self, gpu: MiniatureGpu) -> None:
        super().__init__(gpu)
        self._made: dict[int, MiniatureEvent] = {}
        self._recorded_on: dict[int, int] = {}

    def create(self, event: Any, flags: int) -> int:
        assert flags == _NO_TIMING

        def work() -> None:
            made = MiniatureEvent(self._gpu, "cuEventCreate")
            handle = self._gpu.handle(0x5000 + self._gpu.calls["cuEventCreate"])
            self._made[handle] = made
            _give(event, handle)

        return _guarded(work)

    def record(self, event: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:
        if _number(stream) not in self._gpu.streams:
            return _NO_HANDLE
        self._recorded_on[_number(event)] = _number(stream)
        return _guarded(lambda: self._made[_number(event)].record(self._gpu.streams[_number(stream)]))

    def wait(self, stream: ctypes.c_void_p, event: ctypes.c_void_p, flags: int) -> int:
        assert flags == 0
        self._gpu.log.append(("follow", _number(stream), self._recorded_on[_number(event)]))
        return _guarded(lambda: self._gpu.streams[_number(stream)].wait_for_event(self._made[_number(event)]))

    def is_capturing(self, stream: ctypes.c_void_p, captured: Any) -> int:
        if self._gpu.lost is not None:
            return _LOST
        if _number(stream) not in self._gpu.streams:
            return _NO_HANDLE
        return _give(captured, int(self._gpu.streams[_number(stream)].capture is not None))

    def destroy(self, event: ctypes.c_void_p) -> int:
        del self._made[_number(event)]
        return 0


class _QueryCalls(_DriverCalls):
    """Questions about threads, errors and addresses. Every method returns a ``CUresult``."""

    def exchange(self, mode: Any) -> int:
        self._gpu.calls["cuThreadExchangeStreamCaptureMode"] += 1
        if self._gpu.lost is not None:
            return _LOST
        return _give(mode, self._gpu.captures.exchange(mode._obj.value))

    def error_string(self, status: int, text: Any) -> int:
        known = {
            **TEXTS,
            _NO_MEMORY: "out of memory",
            _NO_HANDLE: "invalid resource handle",
            _NOT_READY: "device not ready",
            _LOST: self._gpu.lost or "an illegal memory access",
        }
        _give(text, known[status].encode() if status in known else None)
        return 0 if status in known else _INVALID

    def pointer_attribute(self, value: Any, attribute: int, pointer: ctypes.c_uint64) -> int:
        assert attribute == _DEVICE_ORDINAL
        for gpu in self._any.devices:
            if gpu.base <= pointer.value < gpu.base + gpu.memory.size:
                return _give(value, gpu.number)
        return _INVALID


def _guarded(work: Callable[[], None]) -> int:
    try:
        work()
    except MiniatureMemoryError:
        return _NO_MEMORY
    except MiniatureError:
        return _LOST
    return 0


def _give(target: Any, value: object) -> int:
    """Write ``value`` to what ``ctypes.byref`` refers to; returns ``CUDA_SUCCESS``."""
    target._obj.value = value
    return 0


def _number(handle: ctypes.c_void_p) -> int:
    return handle.value or 0
