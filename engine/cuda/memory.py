"""Memory of a lane: blocks on the device, pinned blocks on the host, and the layout of tensors in a block."""

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

#: Alignment in bytes: TensorRT requires it of its scratch memory, and copies of tensors gain from it.
ALIGNMENT = 512


def aligned(nbytes: int) -> int:
    """``nbytes`` rounded up to the alignment; at least one alignment."""
    return max(1, -(-nbytes // ALIGNMENT)) * ALIGNMENT


class BlockLayout:
    """Tensors side by side in one block.

    Attributes:
        specs: the tensors, in order.
        offsets: offset of each tensor in bytes, by name.
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
    """An allocation, freed when neither its block nor an array lent to a caller refers to it any more."""

    def __init__(self, device: CudaDevice, allocation: Any) -> None:
        self._device = device
        self._allocation = allocation
        own(self)

    def __del__(self) -> None:
        if sys.is_finalizing():  # the process frees the rest
            return
        try:
            with self._device:
                self._allocation.free()
        except DeviceError as error:
            _LOG.warning("GPU or pinned memory was not freed: %s", error)


class _HostLoan:
    """Offers pinned memory through NumPy's array interface; arrays made from it keep it alive."""

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
        address: where it begins.
        nbytes: its size.
        memory: owner of the allocation; every reference to it keeps the allocation alive, also after ``free``.

    Raises:
        DeviceMemoryError: it does not fit; says how much was requested and how much is free.
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
        """Free the memory as soon as nothing else refers to it."""
        self.memory = None


class PinnedBlock:
    """Page-locked host memory, which the device copies to and from without the processor.

    Raises:
        DeviceMemoryError: it does not fit; says how much was requested.
    """

    def __init__(self, device: CudaDevice, nbytes: int, purpose: str) -> None:
        try:
            self.array: npt.NDArray[np.uint8] = device.driver.pagelocked_empty(nbytes, np.uint8)
        except device.driver.MemoryError as error:
            raise _no_memory("pinned host memory", nbytes, purpose, "", error) from error
        self.array.fill(0)
        self._memory: _Memory | None = _Memory(device, self.array.base)

    def lend(self, *, read_only: bool) -> npt.NDArray[np.uint8]:
        """The whole block, for callers: arrays made from it keep the memory alive after ``free``."""
        assert self._memory is not None, "nothing is lent after free"
        address = self.array.__array_interface__["data"][0]
        return np.asarray(_HostLoan(self._memory, address, self.array.nbytes, read_only=read_only))

    def free(self) -> None:
        """Free the memory as soon as no lent array is left; ``array`` must not be used any more."""
        self._memory = None


def _no_memory(kind: str, nbytes: int, purpose: str, note: str, error: BaseException) -> DeviceMemoryError:
    return DeviceMemoryError(
        f"no {kind} for {purpose}: {nbytes / 1e6:.1f} MB requested{note} ({error}); "
        "close other sessions or programs on the GPU, use fewer slots, or export a smaller --size"
    )
