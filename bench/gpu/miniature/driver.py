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
    """A module like ``pycuda.driver``."""

    class Context:
        def push(self) -> None:
            gpu.depth += 1

        @staticmethod
        def pop() -> None:
            assert gpu.depth > 0
            gpu.depth -= 1

        @staticmethod
        def get_current() -> Context | None:
            return Context() if gpu.depth else None

        @staticmethod
        def synchronize() -> None:
            gpu.synchronize("cuCtxSynchronize", lambda: not any(stream.queue for stream in list(gpu.streams.values())))
            gpu.call("cuCtxSynchronize")  # fails if the last operation lost the GPU

    class Device:
        def __init__(self, ordinal: int) -> None:
            assert ordinal == 0

        def retain_primary_context(self) -> Context:
            gpu.calls["retain_primary_context"] += 1
            return Context()

    def mem_alloc(nbytes: int) -> MiniatureAllocation:
        gpu.call("cuMemAlloc")
        return MiniatureAllocation(gpu, "device memory", nbytes)

    def pagelocked_empty(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        gpu.call("cuMemHostAlloc")
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        flat = np.asarray(MiniatureAllocation(gpu, "pinned memory", nbytes))
        return flat if isinstance(shape, int) and dtype == np.uint8 else np.ndarray(shape, dtype, flat.data)

    def mem_get_info() -> tuple[int, int]:
        gpu.call("cuMemGetInfo")
        return _FREE - gpu.device_bytes - gpu.graph_bytes, _TOTAL

    def htod(dest: int, src: npt.NDArray[Any], stream: MiniatureStream) -> None:
        gpu.call("cuMemcpyHtoDAsync")
        gpu.log.append(("upload", dest, src.nbytes))
        stream.put(lambda: np.copyto(gpu.at(dest, src.nbytes), _bytes(src)))

    def dtoh(dest: npt.NDArray[Any], src: int, stream: MiniatureStream) -> None:
        gpu.call("cuMemcpyDtoHAsync")
        gpu.log.append(("download", src, dest.nbytes))
        stream.put(lambda: np.copyto(_bytes(dest), gpu.at(src, dest.nbytes)))

    def dtod(dest: int, src: int, nbytes: int, stream: MiniatureStream) -> None:
        gpu.call("cuMemcpyDtoDAsync")
        gpu.log.append(("copy", dest, src, nbytes))
        stream.put(lambda: np.copyto(gpu.at(dest, nbytes), gpu.at(src, nbytes)))

    def memset(dest: int, value: int, nbytes: int, stream: MiniatureStream) -> None:
        gpu.call("cuMemsetD8Async")
        gpu.log.append(("zero", dest, nbytes))
        assert value == 0
        stream.put(lambda: gpu.at(dest, nbytes).fill(0))

    legacy = LegacyStream(gpu)
    return SimpleNamespace(
        Error=MiniatureError,
        MemoryError=MiniatureMemoryError,
        LogicError=MiniatureLogicError,
        init=lambda: None,
        Device=Device,
        Context=Context,
        Stream=lambda flags=0: MiniatureStream(gpu, flags),
        Event=lambda: MiniatureEvent(gpu),
        mem_alloc=mem_alloc,
        pagelocked_empty=pagelocked_empty,
        mem_get_info=mem_get_info,
        memcpy_htod_async=htod,
        memcpy_dtoh_async=dtoh,
        memcpy_dtod_async=dtod,
        memset_d8_async=memset,
        memcpy_htod=legacy.upload,
        memcpy_dtoh=legacy.download,
        memset_d16=legacy.fill,
        module_from_buffer=legacy.trap,
    )


def _bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    assert array.flags.c_contiguous
    return array.reshape(-1).view(np.uint8)
