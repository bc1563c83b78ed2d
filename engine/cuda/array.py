"""A result that stays on the GPU, readable by PyTorch, CuPy, Numba and other users of their interchange protocols."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dlpack import CUDA, export_capsule


class DeviceArray:
    """A contiguous tensor in a slot's memory on a GPU: ``torch.from_dlpack(array)``.

    The engine hands out the array only after its frame is complete, so no stream needs to wait for it. The array
    names no stream: naming ours would make a consumer wait for the frames after it. No protocol tells the engine when a
    consumer is done. So the consumer must finish its reads (synchronise its stream) before the engine writes the memory
    again; ``Engine(results=...)`` states when that is. Until then the consumer may also write to the memory.

    The memory outlives the engine: it is freed when the engine is closed and no array, capsule or tensor made from it
    is left.

    Attributes:
        shape: as in ``Output``.
        dtype: NumPy dtype.
        address: device address.
        device: CUDA's number of the GPU.
    """

    __slots__ = ("_owner", "address", "device", "dtype", "shape")

    def __init__(self, address: int, shape: tuple[int, ...], dtype: str, owner: object, device: int = 0) -> None:
        """``owner`` keeps the memory at ``address`` of GPU ``device`` alive."""
        self.address = address
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.device = device
        self._owner = owner

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3 of the interface; ``stream`` is None, because there is nothing to wait for."""
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),  # PyTorch refuses an array that says it is read-only
            "strides": None,
            "stream": None,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        """The GPU, as DLPack names it."""
        return CUDA, self.device

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A capsule of this memory, which lives until the consumer deletes it.

        Args:
            stream: the consumer's stream (None and 1 the legacy default, 2 the per-thread default, -1 none); any of
                them may read immediately.
            max_version: highest version that the consumer accepts; the capsule is unversioned, as the standard allows.
            dl_device: device that the consumer wants; only this one is possible.
            copy: True is refused.

        Raises:
            BufferError: ``copy`` is True, ``dl_device`` is another device, or ``stream`` is 0, which the standard
                forbids as ambiguous.
        """
        if stream == 0:
            raise BufferError("stream 0 is ambiguous; give 1 for the legacy default stream or 2 for the per-thread one")
        if copy:
            raise BufferError("a result on the device is lent without a copy; copy the array made from it")
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(f"the result is on device {self.__dlpack_device__()}, not on {tuple(dl_device)}")
        return export_capsule(self.address, self.shape, self.dtype, self._owner, self.device)

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, address={self.address:#x}, device={self.device})"
