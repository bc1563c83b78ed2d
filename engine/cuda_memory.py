"""Memory of a lane: where each tensor lies in a block, one block on the device, pinned blocks on the host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from mostnet.contract import DeviceMemoryError, TensorSpec

from .cuda_device import CudaDevice

#: TensorRT wants its scratch memory at multiples of this, and tensors gain from it.
ALIGNMENT = 256


def aligned(nbytes: int) -> int:
    """``nbytes`` rounded up to the alignment, and at least that."""
    return max(1, -(-nbytes // ALIGNMENT)) * ALIGNMENT


class Layout:
    """Tensors side by side in one block.

    Attributes:
        offsets: where each begins, by name, in bytes.
        nbytes: size of the block.
    """

    def __init__(self, specs: Iterable[TensorSpec]) -> None:
        self.specs = tuple(specs)
        self.offsets: dict[str, int] = {}
        self.nbytes = 0
        for spec in self.specs:
            self.offsets[spec.name] = self.nbytes
            self.nbytes += aligned(spec.nbytes)

    def addresses(self, base: int) -> dict[str, int]:
        """Address of each tensor in a block that begins at ``base``."""
        return {name: base + offset for name, offset in self.offsets.items()}

    def views(self, block: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        """Each tensor as an array in the host block ``block``, without a copy."""
        return {
            spec.name: block[offset : offset + spec.nbytes].view(spec.dtype).reshape(spec.shape)
            for spec, offset in zip(self.specs, self.offsets.values(), strict=True)
        }


class DeviceBlock:
    """One allocation of device memory.

    Raises:
        DeviceMemoryError: it does not fit; says how much was asked and how much is free.
    """

    def __init__(self, device: CudaDevice, nbytes: int, purpose: str) -> None:
        self.nbytes = nbytes
        try:
            self._allocation = device.driver.mem_alloc(nbytes)
        except device.driver.MemoryError as error:
            raise _no_memory("GPU memory", nbytes, purpose, f", {device.free_mb():.0f} MB are free", error) from error
        self.address = int(self._allocation)

    def free(self) -> None:
        """Give the memory back."""
        self._allocation.free()


class PinnedBlock:
    """Host memory that copies to and from the device run past the processor with.

    Raises:
        DeviceMemoryError: it does not fit; says how much was asked.
    """

    def __init__(self, device: CudaDevice, nbytes: int, purpose: str) -> None:
        try:
            self.array: npt.NDArray[np.uint8] = device.driver.pagelocked_empty(nbytes, np.uint8)
        except device.driver.MemoryError as error:
            raise _no_memory("pinned host memory", nbytes, purpose, "", error) from error
        self.array.fill(0)
        self._allocation: Any = self.array.base

    def free(self) -> None:
        """Give the memory back; arrays in it must not be touched any more."""
        self._allocation.free()


def _no_memory(kind: str, nbytes: int, purpose: str, note: str, error: BaseException) -> DeviceMemoryError:
    return DeviceMemoryError(
        f"no {kind} for {purpose}: {nbytes / 1e6:.1f} MB asked{note} ({error}); "
        "close other sessions or programs on the GPU, use fewer slots, or export a smaller --size"
    )
