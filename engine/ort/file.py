"""Checks by its outermost fields that a file is a whole ONNX model, without a library and without reading weights.

An ONNX file is one protobuf message: fields, each a key (number and wire type) and a value of a known length
(https://protobuf.dev/programming-guides/encoding). A truncated file ends inside a field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mostnet.contract import ModelFileError

#: Field numbers of a ModelProto; every writer puts the version first.
_IR_VERSION, _GRAPH, _OPSET_IMPORT, _METADATA = 1, 7, 8, 14

#: A generous bound on the field numbers of a ModelProto: random bytes soon exceed it.
_LAST_FIELD = 100

#: Longest seek: beyond the end of any model file, and still accepted by file systems.
_FAR = 1 << 40

#: Wire types.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_onnx_file(path: Path) -> None:
    """Check that ``path`` has the outer form of a whole ONNX model.

    Raises:
        ModelFileError: the file is empty, not an ONNX model, or truncated; says which.
    """
    size = path.stat().st_size
    if size == 0:
        raise ModelFileError(f"{path}: the file is empty; export or copy it again")
    with path.open("rb") as file:
        seen = {number for number, _, _ in _fields(file, size, path)}
    if _GRAPH not in seen:
        raise ModelFileError(f"{path}: not an ONNX model: it holds no graph; name a file made by mostnet-export")
    if _OPSET_IMPORT not in seen:
        raise ModelFileError(f"{path}: truncated: {size} bytes, and nothing after the graph; export or copy it again")


def onnx_digest(path: Path) -> str:
    """Hexadecimal SHA-256 of an ONNX file without its metadata properties, which hold this digest.

    Raises:
        ModelFileError: the file is not an ONNX model, or truncated.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for number, begin, end in _fields(file, path.stat().st_size, path):
            if number == _METADATA:
                continue
            file.seek(begin)
            while (left := end - file.tell()) > 0:
                digest.update(file.read(min(left, 1 << 20)))
    return digest.hexdigest()


def _fields(file: BinaryIO, size: int, path: Path) -> Iterator[tuple[int, int, int]]:
    """Yield number, begin and end of each outermost field; the caller leaves the file at the end of the field."""
    while (begin := file.tell()) < size:
        number = _skip_field(file)
        end = file.tell()
        if number is None or (begin == 0 and number != _IR_VERSION):
            raise ModelFileError(f"{path}: not an ONNX model; name a file made by mostnet-export")
        if end > size:
            raise ModelFileError(f"{path}: truncated: {size} bytes, expected at least {end}; export or copy it again")
        yield number, begin, end


def _skip_field(file: BinaryIO) -> int | None:
    """Move past one field, perhaps past the end of the file; return its number, or None if no ModelProto has it."""
    key = _read_varint(file)
    number, wire = key >> 3, key & 7
    if not 0 < number <= _LAST_FIELD:
        return None
    if wire == _VARINT:
        _read_varint(file)
    elif wire in (_FIXED64, _FIXED32):
        file.seek(8 if wire == _FIXED64 else 4, 1)
    elif wire == _BYTES:
        length = _read_varint(file)
        file.seek(min(length, _FAR), 1)
    else:
        return None
    return number


def _read_varint(file: BinaryIO) -> int:
    """Read a base-128 number. At the end of the file, move one byte past it, which shows that the file is truncated."""
    value, shift = 0, 0
    while shift < 64:
        byte = file.read(1)
        if not byte:
            file.seek(1, 1)
            return value
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
    return value
