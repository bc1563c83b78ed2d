"""Memory of a lane: where each tensor lies in a block, one block on the device, pinned blocks on the host."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from mostnet.contract import DeviceError, DeviceMemoryError, TensorSpec
from mostnet.engine.fork import own

from .device import CudaDevice

_LOG = logging.getLogger(__name__)

#: TensorRT wants its scratch memory at multiples of this, and tensors gain from it.
ALIGNMENT = 256


def aligned(nbytes: int) -> int:
    """``nbytes`` rounded up to the alignment, and at least that."""
    return max(1, -(-nbytes // ALIGNMENT)) * ALIGNMENT


class BlockLayout:
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


class _Memory:
    """An allocation, given back when the last to refer to it lets go: its block, or whoever was lent some of it."""

    def __init__(self, device: CudaDevice, allocation: Any) -> None:
        self._device = device
        self._allocation = allocation
        own(self)

    def __del__(self) -> None:
        if sys.is_finalizing():  # what is left at exit goes with the process
            return
        try:
            with self._device:
                self._allocation.free()
        except DeviceError as error:
            _LOG.warning("memory of the GPU is not given back: %s", error)


class _HostLoan:
    """Pinned memory as NumPy takes it; arrays made from it keep it alive."""

    def __init__(self, memory: _Memory, address: int, nbytes: int, *, read_only: bool) -> None:
        self._memory = memory
        self.__array_interface__ = {
            "version": 3,
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (address, read_only),
        }


class DeviceBlock:
    """One allocation of device memory.

    Attributes:
        memory: keeps the allocation alive, beyond ``free``, for whoever refers to it.

    Raises:
        DeviceMemoryError: it does not fit; says how much was asked and how much is free.
    """

    def __init__(self, device: CudaDevice, nbytes: int, purpose: str) -> None:
        self.nbytes = nbytes
        try:
            allocation = device.driver.mem_alloc(nbytes)
        except device.driver.MemoryError as error:
            raise _no_memory("GPU memory", nbytes, purpose, f", {device.free_mb():.0f} MB are free", error) from error
        self.address = int(allocation)
        self.memory: object = _Memory(device, allocation)

    def free(self) -> None:
        """Give the memory back, as soon as nobody else refers to it."""
        self.memory = None


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
        self._memory: _Memory | None = _Memory(device, self.array.base)

    def lend(self, *, read_only: bool) -> npt.NDArray[np.uint8]:
        """The whole block, for callers: the memory lives as long as what is made from it, also after ``free``."""
        assert self._memory is not None, "nothing is lent after free"
        address = self.array.__array_interface__["data"][0]
        return np.asarray(_HostLoan(self._memory, address, self.array.nbytes, read_only=read_only))

    def free(self) -> None:
        """Give the memory back, as soon as nothing lent is left; ``array`` must not be touched any more."""
        self._memory = None


def _no_memory(kind: str, nbytes: int, purpose: str, note: str, error: BaseException) -> DeviceMemoryError:
    return DeviceMemoryError(
        f"no {kind} for {purpose}: {nbytes / 1e6:.1f} MB asked{note} ({error}); "
        "close other sessions or programs on the GPU, use fewer slots, or export a smaller --size"
    )
