"""The legacy default stream of the miniature GPU, and the calls of pycuda that use it.

The streams of the engine do not wait for it, and it does not wait for them, as on CUDA. Its work is late like any
other, so a test that forgets to synchronise fails.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, SupportsInt

import numpy as np
import numpy.typing as npt

from .gpu import MiniatureGpu, MiniatureStream

#: Handle of the legacy default stream.
LEGACY = 1


class LegacyStream:
    """The calls that name no stream. The stream itself is made at its first use."""

    def __init__(self, gpu: MiniatureGpu) -> None:
        self._any = gpu
        self._streams: dict[int, MiniatureStream] = {}

    @property
    def _gpu(self) -> MiniatureGpu:
        return self._any.current

    @property
    def _stream(self) -> MiniatureStream | None:
        return self._streams.get(self._gpu.number)

    def upload(self, dest: SupportsInt, src: npt.NDArray[Any]) -> None:
        """``memcpy_htod``: returns when ``src`` is staged, before it arrives."""
        self._gpu.call("cuMemcpyHtoD")
        gpu, staged = self._gpu, np.frombuffer(src.tobytes(), np.uint8)
        self._put(lambda: np.copyto(gpu.at(int(dest), staged.nbytes), staged))

    def download(self, dest: npt.NDArray[Any], src: SupportsInt) -> None:
        """``memcpy_dtoh``: waits for the earlier work of this stream alone."""
        self._gpu.call("cuMemcpyDtoH")
        while self._stream is not None and self._stream.queue:
            self._gpu.advance()
        dest.reshape(-1).view(np.uint8)[...] = self._gpu.at(int(src), dest.nbytes)

    def fill(self, dest: SupportsInt, value: int, count: int) -> None:
        """``memset_d16``: writes ``count`` numbers of two bytes, and does not wait."""
        self._gpu.call("cuMemsetD16")
        gpu = self._gpu
        self._put(lambda: gpu.at(int(dest), 2 * count).view(np.uint16).fill(value))

    def trap(self, code: bytes) -> SimpleNamespace:
        """``module_from_buffer``: every kernel of the module stops the GPU for good."""
        self._gpu.call("cuModuleLoadData")
        gpu = self._gpu

        def lose() -> None:
            gpu.lost = "unspecified launch failure"

        return SimpleNamespace(get_function=lambda name: lambda block, grid: self._put(lose))

    def _put(self, work: Any) -> None:
        stream = self._stream
        if stream is None:
            gpu = self._gpu
            stream = self._streams[gpu.number] = MiniatureStream(gpu, 1)
            del gpu.streams[stream.handle]
            stream.handle = LEGACY
            gpu.streams[LEGACY] = stream
        stream.put(work)
