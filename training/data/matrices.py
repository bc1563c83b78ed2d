"""The motion matrices of the published data set: a pickle, read without running what it may ask for.

A pickle names functions and has them called. This reader knows the few names that stand for NumPy arrays and numbers,
and has its own harmless function for each of them. It refuses any other name. Neither NumPy's unpickling code nor any
imported function runs.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mostnet.contract import DatasetError
from mostnet.contract.pictures import regular_bytes

Matrices = npt.NDArray[np.float64]
_Values = npt.NDArray[Any]

_MOST_BYTES = 64 << 20
#: An array takes about 30 instructions and a nested list about 40. Each may take 64 bytes of memory.
_MOST_INSTRUCTIONS = 1 << 22
#: Most calls in the pickle, times the bytes of its longest text: a call may copy any text, and the same one many times.
_MOST_COPIED = 1 << 28
#: Instructions that fetch objects other than by name: extension codes, persistent identifiers, buffers beside the file.
_FOREIGN = {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER"}
_CALLS = {"REDUCE", "BUILD", "INST", "OBJ"}
_NUMBER_CODE = re.compile(r"f(2|4|8|16)|[iu][1248]|b1")
_LAST_ROW_TOLERANCE = 1e-6
#: Least determinant of the 2x2 part. It is the square of the zoom.
_LEAST_DETERMINANT = 1e-6
_EXPECTED = "expected a pickled list of 3x3 matrices, one per frame"
_NO_NUMBERS = "not numbers"


class _RefusedError(Exception):
    """The pickle holds something else than matrices; the text says what."""


def read_matrices(path: Path, count: int) -> Matrices:
    """Read the motion matrices of a sequence, float64 ``(count, 3, 3)``, from a pickled list or array.

    Each matrix is an array or nested list of numbers. It is affine, with the last row (0, 0, 1) up to 1e-6, and can be
    inverted. The last row that is returned is exact.

    Args:
        path: of ``homo_4df.pkl``; any pickle protocol, also as Python 2 wrote it.
        count: number of frames of the sequence.

    Raises:
        DatasetError: the file is missing, damaged, or larger than 64 MiB; it holds something else than matrices, or not
            one for each frame. It is refused if it names anything but arrays and numbers.
    """
    data = _file_bytes(path)
    try:
        held = _unpickle(data)
    except _RefusedError as error:
        raise DatasetError(f"{path}: holds {error}; refused: {_EXPECTED}; get the file from its publisher") from error
    except Exception as error:  # pickle documents no list of what damaged data raises, memory and recursion included
        raise DatasetError(
            f"{path}: damaged, or no pickle ({len(data)} bytes); {_EXPECTED}; copy it again, or remove it"
        ) from error
    if isinstance(held, _Array):
        held = list(held.values) if held.values.ndim else held
    if not isinstance(held, list | tuple):
        raise DatasetError(f"{path}: holds no list; {_EXPECTED}")
    if len(held) != count:
        raise DatasetError(
            f"{path}: {len(held)} matrices for {count} frames; expected one per frame; copy the sequence again"
        )
    matrices = np.zeros((count, 3, 3))
    for k, element in enumerate(held):
        matrices[k] = _matrix(element, f"{path}: matrix {k}")
    return matrices


def _file_bytes(path: Path) -> bytes:
    try:
        length = path.stat().st_size
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file; {_EXPECTED}; copy the sequence again") from error
    except OSError:
        length = 0  # the reader says what is wrong
    if length > _MOST_BYTES:
        raise DatasetError(
            f"{path}: has {length / 2**20:.0f} MiB, but expected at most {_MOST_BYTES >> 20}; {_EXPECTED}; remove it"
        )
    return regular_bytes(path)


def _unpickle(data: bytes) -> Any:
    """The object in a pickle: lists, tuples, numbers, text, and ``_Array``.

    Raises:
        _RefusedError: it asks for more than arrays and numbers.
        Exception: of any type, if it is damaged.
    """
    _check_instructions(data)
    return _Unpickler(io.BytesIO(data), encoding="latin1").load()  # Python 2 wrote bytes as text


def _check_instructions(data: bytes) -> None:
    """Look at all instructions before one of them runs. ``pickletools`` finds lengths beyond the end of the data."""
    foreign = None
    calls = longest = 0
    for number, (instruction, argument, _) in enumerate(pickletools.genops(data)):
        calls += instruction.name in _CALLS
        if isinstance(argument, str | bytes | bytearray):
            longest = max(longest, len(argument))
        if instruction.name in _FOREIGN:
            foreign = instruction.name  # to be refused if this is a pickle to its end, and not a text, say
        if number >= _MOST_INSTRUCTIONS:
            raise _RefusedError(f"more than {_MOST_INSTRUCTIONS} pickle instructions")
        if instruction.name.endswith("PUT") and isinstance(argument, int) and argument >= _MOST_INSTRUCTIONS:
            # the unpickler takes memory up to this index
            raise _RefusedError(f"an object numbered {argument}")
    if foreign:
        raise _RefusedError(f"the pickle instruction {foreign}, which can fetch any object")
    if calls * longest > _MOST_COPIED:
        raise _RefusedError(f"{calls} calls with up to {longest} bytes each")


class _Unpickler(pickle.Unpickler):
    """Admits the names in ``_STAND_INS`` alone."""

    def find_class(self, module: str, name: str) -> Any:
        stand_in = _STAND_INS.get((module, name))
        if stand_in is None:
            full_name = ascii(f"{module}.{name}")[1:-1]
            raise _RefusedError(f"{full_name[:80]}, whose loading would run code")
        return stand_in


class _StandIn:
    """A function that a pickle may call instead of the one that it names.

    No instruction can alter it: it has no attributes to set and takes no state.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise _RefusedError("a state for a function")


class _NumberType:
    """Instead of ``numpy.dtype``: a type of numbers."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: str, *_flags: object) -> None:
        if not isinstance(code, str) or not _NUMBER_CODE.fullmatch(code):
            raise _RefusedError(f"an array of type {ascii(code)[:80]}, {_NO_NUMBERS}")
        self._code = code
        self._order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|"):
            raise ValueError("unknown byte order")
        self._order = order

    def array(self, data: bytes | bytearray | str, shape: tuple[int, ...], order: str) -> _Values:
        """An array of this type over ``data``, which Python 2 wrote as text.

        Raises:
            Exception: the data does not have this shape.
        """
        if any(type(side) is not int or side < 0 for side in shape):
            raise ValueError("a side is no length")
        if order not in ("C", "F"):
            raise ValueError("unknown order of the axes")
        data = data.encode("latin1") if isinstance(data, str) else data
        values = np.frombuffer(data, np.dtype(self._order + self._code))
        return values.reshape(shape, order="F" if order == "F" else "C")


class _Array:
    """Instead of ``numpy.ndarray``: ``values``, of any type of numbers."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: _Values = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, kind, fortran, data = state[-4:]  # after a version
        self.values = _number_type(kind).array(data, shape, "F" if fortran else "C")


def _number_type(kind: object) -> _NumberType:
    if not isinstance(kind, _NumberType):
        raise TypeError("expected a type of numbers")
    return kind


def _new_array(*_arguments: object) -> _Array:
    return _Array()


def _array_of_buffer(data: bytes | bytearray, kind: object, shape: tuple[int, ...], order: str, *_: object) -> _Array:
    array = _Array()
    array.__setstate__((shape, kind, order == "F", data))
    return array


def _scalar(kind: object, data: bytes) -> float:
    return float(_number_type(kind).array(data, (), "C")[()])


def _latin1_bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _RefusedError(f"text encoded as {ascii(encoding)[:80]}")
    return text.encode("latin1")


def _no_call(*_arguments: object) -> None:
    raise _RefusedError("an array that is made by calling numpy.ndarray")


_STAND_INS = {
    ("numpy", "dtype"): _StandIn(_NumberType),
    ("numpy", "ndarray"): _StandIn(_no_call),  # it is named, but not called
    ("_codecs", "encode"): _StandIn(_latin1_bytes),  # bytes, up to protocol 2
    **{
        (f"numpy.{core}.{module}", name): _StandIn(function)
        for core in ("core", "_core")  # before and since NumPy 2
        for module, name, function in (
            ("multiarray", "_reconstruct", _new_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _array_of_buffer),
        )
    },
}


def _matrix(element: object, what: str) -> Matrices:
    """An element of the list as float64 ``(3, 3)``.

    Raises:
        DatasetError: it is no affine matrix that can be inverted; the line starts with ``what``.
    """
    values = _numbers(element, what)
    if not np.isfinite(values).all():
        raise DatasetError(f"{what} has numbers that are not finite; copy the file again")
    if np.abs(values[2] - (0, 0, 1)).max() > _LAST_ROW_TOLERANCE:
        row = ", ".join(f"{value:g}" for value in values[2])
        raise DatasetError(f"{what} has the last row ({row}); expected (0, 0, 1), as of a motion without perspective")
    with np.errstate(over="ignore", invalid="ignore"):
        determinant = values[0, 0] * values[1, 1] - values[0, 1] * values[1, 0]
    if not determinant >= _LEAST_DETERMINANT:
        raise DatasetError(
            f"{what} flattens or mirrors the picture (determinant {determinant:.3g}, expected above 0); "
            "remove the sequence"
        )
    values[2] = 0, 0, 1
    return values


def _numbers(element: object, what: str) -> Matrices:
    if isinstance(element, _Array):
        element = element.values
    if isinstance(element, np.ndarray):
        if element.shape != (3, 3):
            raise DatasetError(f"{what} has the shape {element.shape}; expected (3, 3)")
        with np.errstate(over="ignore"):  # too great for float64, and found not to be finite
            return element.astype(np.float64)
    rows = [row.values.tolist() if isinstance(row, _Array) else row for row in _three(element, what)]
    values = [value for row in rows for value in _three(row, what)]
    if not all(isinstance(value, int | float) for value in values):
        raise DatasetError(f"{what} holds other things than numbers; {_EXPECTED}")
    try:
        return np.array([float(value) for value in values]).reshape(3, 3)
    except OverflowError as error:
        raise DatasetError(f"{what} has numbers that are not finite; copy the file again") from error


def _three(held: object, what: str) -> list[Any] | tuple[Any, ...]:
    if not isinstance(held, list | tuple) or len(held) != 3:
        raise DatasetError(f"{what} is not 3x3; {_EXPECTED}")
    return held
