"""Makes and reads DLPack capsules of device memory through ctypes: the array interchange of PyTorch, CuPy and JAX.

The structures follow ``dlpack.h`` before version 1 (``DLManagedTensor``), which every consumer takes.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mostnet.engine.fork import keep

CUDA = 2  # DLDeviceType kDLCUDA

_NAME = ctypes.c_char_p(b"dltensor")  # a capsule keeps the pointer, not the text

#: DLDataTypeCode by the kind of a NumPy dtype.
_CODES = {"u": 1, "f": 2}


class _Device(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int32), ("id", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER))


class Described(NamedTuple):
    """The tensor in a capsule: strides in elements, or None if contiguous; dtype as ``(code, bits, lanes)``."""

    address: int
    device: tuple[int, int]
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: tuple[int, int, int]


class _Export:
    """The target of a capsule's pointer. It keeps itself alive until the consumer or the destructor deletes it."""

    def __init__(self, address: int, shape: Sequence[int], dtype: Any, owner: object, device: int) -> None:
        self.owner = owner
        strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
        self._sides = (ctypes.c_int64 * len(shape))(*shape)
        self._steps = (ctypes.c_int64 * len(shape))(*strides)
        kind = _DataType(_CODES[dtype.kind], 8 * dtype.itemsize, 1)
        tensor = _Tensor(address, _Device(CUDA, device), len(shape), kind, self._sides, self._steps, 0)
        self.managed = _Managed(tensor, id(self), _DELETE)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))


def export_capsule(address: int, shape: Sequence[int], dtype: Any, owner: object, device: int = 0) -> Any:
    """A capsule ``dltensor`` of contiguous memory on GPU ``device``; keeps ``owner`` alive until it is deleted."""
    return _new_capsule(ctypes.addressof(_Export(address, shape, dtype, owner, device).managed), _NAME, _DESTROY)


def describe_capsule(capsule: object) -> Described:
    """Read a capsule that nobody has consumed. The memory is valid for as long as the capsule lives.

    Raises:
        ValueError: not a capsule, or a consumed one.
    """
    pointer = _get_pointer(id(capsule), _NAME)
    tensor = _Managed.from_address(pointer).tensor
    axes = range(tensor.ndim)
    return Described(
        (tensor.data or 0) + tensor.byte_offset,
        (tensor.device.type, tensor.device.id),
        tuple(tensor.shape[axis] for axis in axes),
        tuple(tensor.strides[axis] for axis in axes) if tensor.strides else None,
        (tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes),
    )


def _delete(pointer: int) -> None:
    if sys is None or sys.is_finalizing():  # globals may be gone; the process frees the rest
        return
    export = ctypes.cast(_Managed.from_address(pointer).context, ctypes.py_object).value
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(export))


def _destroy(capsule: int) -> None:
    if sys is None or sys.is_finalizing():
        return
    if _is_valid(capsule, _NAME):  # a consumer renames a capsule that it takes over, and deletes the tensor itself
        pointer = _get_pointer(capsule, _NAME)
        _Managed.from_address(pointer).deleter(pointer)


# By address, because a capsule under destruction must not be touched as an object.
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_DELETE = _DELETER(_delete)
_DESTROY = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(_destroy)
for _callback in (_NAME, _DELETE, _DESTROY):
    keep(_callback)  # a capsule that is alive when the process ends calls them after this module is gone
