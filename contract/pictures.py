"""Picture files, PNG or JPEG, as data sets hold them: found in order, and checked before they are decoded."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from pathlib import Path

from .errors import DatasetError
from .files import natural_key

#: Suffixes of the pictures of a data set, in any case of letters.
PICTURES = (".png", ".jpg", ".jpeg")
#: Most pixels of a picture; decoded they take 400 MB. A small file can claim billions.
MOST_PIXELS = 1 << 27
_MOST_BYTES = 1 << 30
#: Bytes of a PNG up to its height.
_SHORTEST = 24
#: Bytes that hold the header of most JPEG files.
_HEADER = 1 << 12
#: What an EXIF block begins with, in a JPEG and in a PNG.
_EXIF, _PNG_EXIF = b"Exif\0\0", b"eXIf"

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
#: JPEG markers without a segment: a fill byte, and the restart, start and end markers.
_BARE = {0x01, *range(0xD0, 0xDA)}
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"


def picture_files(folder: Path, suffixes: Sequence[str] = PICTURES) -> tuple[Path, ...]:
    """The files of a folder with one of the suffixes, but no hidden ones, in the order of the numbers in their names.

    Raises:
        DatasetError: two names have the same numbers, such as ``1.png`` and ``000001.png``, or differ in suffix alone.
    """
    found = folder.iterdir() if folder.is_dir() else ()
    files = sorted((path for path in found if path.suffix.lower() in suffixes and path.name[0] != "."), key=natural_key)
    names: dict[tuple[str, ...], str] = {}
    for path in files:
        key = tuple(part.lstrip("0") if part.isdecimal() else part for part in re.split(r"(\d+)", path.stem))
        if key in names:
            raise DatasetError(
                f"{folder}: {names[key]} and {path.name} stand for the same frame; remove or rename one of them"
            )
        names[key] = path.name
    return tuple(files)


def check_picture(path: Path) -> None:
    """Check what a look at the first bytes of a file shows.

    Raises:
        DatasetError: like ``picture_bytes``, without a check of the rest of the file.
    """
    length = _regular_length(path)
    try:
        with path.open("rb") as file:
            _check_head(path, file.read(_SHORTEST), length)
    except OSError as error:
        raise _unreadable(path, error) from error


def header_size(path: Path) -> tuple[tuple[int, int], bool]:
    """Height and width of a picture in its header, and whether an EXIF block may turn it. Nothing is decoded.

    Of a PNG, only a block near its beginning is found.

    Raises:
        DatasetError: like ``check_picture``; or the header has no size, or one of more than ``MOST_PIXELS``.
    """
    check_picture(path)
    try:
        with path.open("rb") as file:
            data = file.read(_HEADER)
            if data.startswith(_PNG):
                return _png_size(data), _PNG_EXIF in data
            size_hw, scan = _jpeg_frame(data)
            if size_hw is None:  # a long header
                data += file.read()
                size_hw, scan = _jpeg_frame(data)
    except OSError as error:
        raise _unreadable(path, error) from error
    if size_hw is None:
        raise DatasetError(f"{path}: damaged, its header has no size; copy it again, or remove it")
    _check_size(path, size_hw)
    return size_hw, data.find(_EXIF, 0, scan) >= 0


def picture_bytes(path: Path) -> bytes:
    """The content of a picture file that can be decoded without harm.

    Raises:
        DatasetError: like ``regular_bytes``; or the file is neither PNG nor JPEG, is cut off, or has more than
            ``MOST_PIXELS``.
    """
    data = regular_bytes(path)
    _check_head(path, data[:_SHORTEST], len(data))
    if data.startswith(_PNG):
        complete = b"IEND" in data
    else:
        size_hw, scan = _jpeg_frame(data)
        if size_hw is not None:
            _check_size(path, size_hw)
        complete = size_hw is not None and data.find(_END_OF_IMAGE, scan) >= 0
    if not complete:
        raise DatasetError(f"{path}: damaged, its end is missing after {len(data)} bytes; copy it again, or remove it")
    return data


def regular_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DatasetError: it is missing or cannot be read, is no regular file (reading a pipe or device may never end), or
            is larger than a picture can be.
    """
    _regular_length(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _regular_length(path: Path) -> int:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise DatasetError(f"{path}: a folder, pipe or device, but expected a regular file; remove it")
    if found.st_size > _MOST_BYTES:
        raise DatasetError(
            f"{path}: has {found.st_size / 1e9:.1f} GB, but expected at most {_MOST_BYTES / 1e9:.1f}; remove it"
        )
    return found.st_size


def _check_head(path: Path, head: bytes, length: int) -> None:
    if not head.startswith((_PNG, _JPEG)) or length < _SHORTEST:
        raise DatasetError(f"{path}: not a picture in PNG or JPEG, or damaged ({length} bytes); copy it again")
    if head.startswith(_PNG):
        _check_size(path, _png_size(head))


def _png_size(head: bytes) -> tuple[int, int]:
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def _unreadable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{path}: cannot be read ({error.strerror}); copy it again, or remove it")


def _check_size(path: Path, size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    if not 0 < height * width <= MOST_PIXELS:
        raise DatasetError(
            f"{path}: says that it is {height}x{width}; pictures have 1 to {MOST_PIXELS / 1e6:.0f} million pixels; "
            "scale it down, or copy it again"
        )


def _jpeg_frame(data: bytes) -> tuple[tuple[int, int] | None, int]:
    """Height and width of a JPEG, None if its header is damaged; and where its first scan begins."""
    at, size_hw = 2, None
    while 0 <= at < len(data) - 9:
        marker = data[at + 1]
        if marker in _BARE or marker == 0xFF:
            at = data.find(b"\xff", at + (1 if marker == 0xFF else 2))
            continue
        if marker in _START_OF_FRAME:
            size_hw = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        if marker == _START_OF_SCAN:
            return size_hw, at
        at = data.find(b"\xff", at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"))
    return None, len(data)
