"""Arrays that hold results for the caller, in memory that is used again once the caller has let go of it.

Fresh memory costs several times the copy into it: the system hands it out page by page, and fills each with zeros.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import ref

import numpy as np
import numpy.typing as npt

from mostnet.contract import TensorSpec

#: Spare memory of one output. A consumer that keeps its latest results lets go of one per frame, however many it keeps,
#: and needs one spare block. More are for one that lets go of many at once: here a second of video at 480x640.
_SPARE_BYTES = 64_000_000
_FEWEST_SPARE = 4


class _Block:
    """Memory of one result, and its description for NumPy, which takes longer to make than to use."""

    __slots__ = ("array", "interface")

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.array: npt.NDArray[Any] = np.empty(shape, dtype)
        self.interface = self.array.__array_interface__


class _Loan:
    """Lends a block through NumPy's array interface. Arrays, views, buffers and tensors made of it keep it alive."""

    __slots__ = ("__array_interface__", "_block", "_home")

    def __init__(self, block: _Block, home: ref[deque[_Block]]) -> None:
        self.__array_interface__ = block.interface
        self._block = block
        self._home = home

    def __del__(self) -> None:
        # This runs in any thread and between any two statements, so it takes no lock.
        spare = self._home() if hasattr(self, "_home") else None  # an interrupted ``__init__`` sets none
        if spare is not None:
            spare.append(self._block)


class ResultPool:
    """Arrays of one shape and dtype. A block is used again when nothing that was made of it is left.

    The arrays are contiguous and writable, and belong to the caller, though NumPy's flag ``owndata`` is false. They
    outlive the pool: without it each frees its block.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self._shape = shape
        self._dtype = np.dtype(dtype)
        nbytes = max(1, int(np.prod(shape)) * self._dtype.itemsize)
        # Beyond its length a deque drops its oldest block.
        self._spare: deque[_Block] = deque(maxlen=max(_FEWEST_SPARE, _SPARE_BYTES // nbytes))
        self._home = ref(self._spare)

    def copy(self, source: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy of ``source``, which must have the pool's shape and dtype: it overwrites all that the block held."""
        assert source.shape == self._shape and source.dtype == self._dtype, "each output has a pool of its own"
        try:
            block = self._spare.pop()
        except IndexError:
            block = _Block(self._shape, self._dtype)
        np.copyto(block.array, source)
        return np.asarray(_Loan(block, self._home))


class ResultPools:
    """One pool for each output: a caller that keeps only masks keeps no pictures alive."""

    def __init__(self, specs: Iterable[TensorSpec]) -> None:
        """``specs`` are the outputs; their first axis is the batch, which results lack."""
        self._pools = {spec.name: ResultPool(spec.shape[1:], spec.dtype) for spec in specs}
        self._closed = False

    def copy(self, found: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Copies of the outputs in ``found``, by name."""
        assert not self._closed, "nothing is copied after close"
        return {name: pool.copy(found[name]) for name, pool in self._pools.items()}

    def close(self) -> None:
        """Free the spare memory, and let arrays free theirs. May be called twice; nothing is copied after it."""
        self._closed = True
        self._pools = {}
