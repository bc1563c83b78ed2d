"""``pycuda.driver`` on the miniature GPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from .gpu import (
    MiniatureAllocation,
    MiniatureError,
    MiniatureEvent,
    MiniatureGpu,
    MiniatureLogicError,
    MiniatureMemoryError,
    MiniatureStream,
)
from .legacy import LegacyStream

#: Memory that is free while nothing is allocated, and all memory, in bytes.
_FREE, _TOTAL = 512_000_000, 1_000_000_000


def pycuda_driver(gpu: MiniatureGpu) -> SimpleNamespace:
    """A module like ``pycuda.driver``, for all devices of the machine of ``gpu``."""
    memory, legacy = _MemoryCalls(gpu), LegacyStream(gpu)
    return SimpleNamespace(
        Error=MiniatureError,
        MemoryError=MiniatureMemoryError,
        LogicError=MiniatureLogicError,
        init=lambda: None,
        **_contexts(gpu),
        Stream=lambda flags=0: MiniatureStream(gpu.current, flags),
        Event=lambda: MiniatureEvent(gpu.current),
        mem_alloc=memory.allocate,
        pagelocked_empty=memory.pin,
        mem_get_info=memory.info,
        memcpy_htod_async=memory.upload,
        memcpy_dtoh_async=memory.download,
        memcpy_dtod_async=memory.copy,
        memset_d8_async=memory.zero,
        memcpy_htod=legacy.upload,
        memcpy_dtoh=legacy.download,
        memset_d16=legacy.fill,
        module_from_buffer=legacy.trap,
    )


def _contexts(gpu: MiniatureGpu) -> dict[str, type]:
    """The classes ``Context`` and ``Device``."""

    class Context:
        def __init__(self, device: MiniatureGpu) -> None:
            self._device = device

        def push(self) -> None:
            self._device.depth += 1

        @staticmethod
        def pop() -> None:
            assert gpu.depth > 0
            gpu.depth -= 1

        @staticmethod
        def get_current() -> Context | None:
            return Context(gpu.current) if gpu.depth else None

        @staticmethod
        def synchronize() -> None:
            device = gpu.current
            streams = device.streams
            device.synchronize("cuCtxSynchronize", lambda: not any(stream.queue for stream in list(streams.values())))
            device.call("cuCtxSynchronize")  # fails if the last operation lost the GPU

    class Device:
        def __init__(self, ordinal: int) -> None:
            self._device = gpu.devices[ordinal]

        def retain_primary_context(self) -> Context:
            self._device.calls["retain_primary_context"] += 1
            return Context(self._device)

    return {"Context": Context, "Device": Device}


class _MemoryCalls:
    """Allocations, and the copies that a stream runs."""

    def __init__(self, gpu: MiniatureGpu) -> None:
        self._any = gpu

    @property
    def _gpu(self) -> MiniatureGpu:
        return self._any.current

    def allocate(self, nbytes: int) -> MiniatureAllocation:
        self._gpu.call("cuMemAlloc")
        return MiniatureAllocation(self._gpu, "device memory", nbytes)

    def pin(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        self._gpu.call("cuMemHostAlloc")
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        flat = np.asarray(MiniatureAllocation(self._gpu, "pinned memory", nbytes))
        return flat if isinstance(shape, int) and dtype == np.uint8 else np.ndarray(shape, dtype, flat.data)

    def info(self) -> tuple[int, int]:
        self._gpu.call("cuMemGetInfo")
        return _FREE - self._gpu.device_bytes - self._gpu.graph_bytes, _TOTAL

    def upload(self, dest: int, src: npt.NDArray[Any], stream: MiniatureStream) -> None:
        gpu = self._enter("cuMemcpyHtoDAsync", "upload", dest, src.nbytes)
        stream.put(lambda: np.copyto(gpu.at(dest, src.nbytes), _bytes(src)))

    def download(self, dest: npt.NDArray[Any], src: int, stream: MiniatureStream) -> None:
        gpu = self._enter("cuMemcpyDtoHAsync", "download", src, dest.nbytes)
        stream.put(lambda: np.copyto(_bytes(dest), gpu.at(src, dest.nbytes)))

    def copy(self, dest: int, src: int, nbytes: int, stream: MiniatureStream) -> None:
        gpu = self._enter("cuMemcpyDtoDAsync", "copy", dest, src, nbytes)
        stream.put(lambda: np.copyto(gpu.at(dest, nbytes), gpu.at(src, nbytes)))

    def zero(self, dest: int, value: int, nbytes: int, stream: MiniatureStream) -> None:
        gpu = self._enter("cuMemsetD8Async", "zero", dest, nbytes)
        assert value == 0
        stream.put(lambda: gpu.at(dest, nbytes).fill(0))

    def _enter(self, call: str, *operation: object) -> MiniatureGpu:
        """The current device, which notes the operation."""
        gpu = self._gpu
        gpu.call(call)
        gpu.log.append(operation)
        return gpu


def _bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    assert array.flags.c_contiguous
    return array.reshape(-1).view(np.uint8)
