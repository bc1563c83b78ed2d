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
        self._gpu = gpu
        self._stream: MiniatureStream | None = None

    def upload(self, dest: SupportsInt, src: npt.NDArray[Any]) -> None:
        """``memcpy_htod``: returns when ``src`` is staged, before it arrives."""
        self._gpu.call("cuMemcpyHtoD")
        staged = np.frombuffer(src.tobytes(), np.uint8)
        self._put(lambda: np.copyto(self._gpu.at(int(dest), staged.nbytes), staged))

    def download(self, dest: npt.NDArray[Any], src: SupportsInt) -> None:
        """``memcpy_dtoh``: waits for the earlier work of this stream alone."""
        self._gpu.call("cuMemcpyDtoH")
        while self._stream is not None and self._stream.queue:
            self._gpu.advance()
        dest.reshape(-1).view(np.uint8)[...] = self._gpu.at(int(src), dest.nbytes)

    def fill(self, dest: SupportsInt, value: int, count: int) -> None:
        """``memset_d16``: writes ``count`` numbers of two bytes, and does not wait."""
        self._gpu.call("cuMemsetD16")
        self._put(lambda: self._gpu.at(int(dest), 2 * count).view(np.uint16).fill(value))

    def trap(self, code: bytes) -> SimpleNamespace:
        """``module_from_buffer``: every kernel of the module stops the GPU for good."""
        self._gpu.call("cuModuleLoadData")
        return SimpleNamespace(get_function=lambda name: lambda block, grid: self._put(self._lose))

    def _lose(self) -> None:
        self._gpu.lost = "unspecified launch failure"

    def _put(self, work: Any) -> None:
        if self._stream is None:
            self._stream = MiniatureStream(self._gpu, 1)
            del self._gpu.streams[self._stream.handle]
            self._stream.handle = LEGACY
            self._gpu.streams[LEGACY] = self._stream
        self._stream.put(work)
