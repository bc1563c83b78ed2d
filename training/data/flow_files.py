"""Optical flow on disk: Middlebury ``.flo``, the 16-bit PNG of KITTI, and the ``.npy`` of Vident-real."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from mostnet.contract import DatasetError, atomic_path
from mostnet.contract.metrics import Flow, Valid
from mostnet.contract.pictures import regular_bytes

from .pictures import read_unchanged

#: First four bytes of a ``.flo`` file: 202021.25 as a little-endian float.
_FLO_MAGIC = b"PIEH"
#: Middlebury's readers treat any component beyond this as unknown.
_FLO_UNKNOWN = 1e9
_FLO_UNKNOWN_VALUE = 1e10
_MOST_PIXELS = 1 << 28

_KITTI_ZERO = 1 << 15
_KITTI_STEPS_PER_PX = 64.0


def read_flow(path: Path) -> tuple[Flow, Valid]:
    """Read flow ``(2, H, W)``, float32 ``(dx, dy)`` in pixels and zero where unknown, and validity, bool ``(H, W)``.

    ``.flo``: S. Baker et al., IJCV 92 (2011). ``.png``: the KITTI 2015 development kit, ``(value - 2^15) / 64`` in red
    (dx) and green (dy), blue not zero where known. ``.npy``: floats ``(H, W, 2)``, unknown where not finite.

    Raises:
        DatasetError: missing, damaged, or none of these formats.
    """
    readers = {".flo": _read_flo, ".npy": _read_npy}
    flow, valid = readers.get(path.suffix.lower(), _read_kitti)(path)
    flow[:, ~valid] = 0
    return flow, valid


def write_flow(path: Path, flow: Flow, valid: Valid) -> None:
    """Write flow for ``read_flow``, in the format of the suffix, atomically.

    A PNG has steps of 1/64 pixel and holds up to 511 pixels; longer vectors are written as unknown. Unknown vectors of
    an ``.npy`` are NaN.

    Raises:
        DatasetError: the suffix is another, or the shapes do not fit.
    """
    if flow.shape != (2, *valid.shape) or valid.ndim != 2:
        raise DatasetError(f"{path}: flow is {flow.shape} and valid {valid.shape}; expected (2, H, W) and (H, W)")
    writers = {".flo": _flo_bytes, ".png": _kitti_bytes, ".npy": _npy_bytes}
    if path.suffix not in writers:
        found = path.suffix or "a file without suffix"
        raise DatasetError(f"{path}: flow is written as .flo, .png or .npy, not as {found}")
    data = writers[path.suffix](flow, valid)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def npy_size(path: Path) -> tuple[int, int]:
    """Height and width of the flow in an ``.npy``, from its header alone.

    Raises:
        DatasetError: no regular file, or not the header of floats ``(H, W, 2)``.
    """
    if path.exists() and not path.is_file():
        raise DatasetError(f"{path}: a folder, pipe or device, but expected a regular file; remove it")
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            header = file.tell()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, EOFError, SyntaxError, TypeError, UnicodeError) as error:
        raise DatasetError(f"{path}: not an .npy file ({' '.join(str(error).split())[:80]}); copy it again") from error
    if len(shape) != 3 or shape[2] != 2 or dtype.kind != "f":
        raise DatasetError(f"{path}: holds {dtype} {shape}; backward flow is float32 (H, W, 2)")
    size = path.stat().st_size
    if min(shape) < 1 or size != header + shape[0] * shape[1] * 2 * dtype.itemsize:
        raise DatasetError(f"{path}: {size} bytes do not hold flow of {shape[1]}x{shape[0]} pixels; copy it again")
    return shape[0], shape[1]


def flo_size(path: Path) -> tuple[int, int]:
    """Height and width of the flow in a ``.flo`` file, from its header and its length.

    Raises:
        DatasetError: no regular file, not the header of a ``.flo`` file, or of another length than it says.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: expected a regular file; write it again, or remove it")
    try:
        with path.open("rb") as file:
            return _flo_head(path, file.read(12), path.stat().st_size)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error


def _read_npy(path: Path) -> tuple[Flow, Valid]:
    npy_size(path)
    vectors = np.load(io.BytesIO(regular_bytes(path)), allow_pickle=False)
    flow = np.ascontiguousarray(vectors.transpose(2, 0, 1), dtype=np.float32)
    known = np.isfinite(flow)
    return flow, known[0] & known[1]


def _flo_head(path: Path, start: bytes, length: int) -> tuple[int, int]:
    """Height and width from the first twelve bytes of a ``.flo`` file of ``length`` bytes."""
    if start[:4] != _FLO_MAGIC or len(start) < 12:
        raise DatasetError(f"{path}: not a .flo file (no PIEH at its start); write it again")
    width, height = (int(side) for side in np.frombuffer(start, "<i4", 2, 4))
    if min(width, height) < 1 or width * height > _MOST_PIXELS or length != 12 + 8 * width * height:
        raise DatasetError(f"{path}: {length} bytes do not hold flow of {width}x{height} pixels; write it again")
    return height, width


def _read_flo(path: Path) -> tuple[Flow, Valid]:
    data = regular_bytes(path)
    height, width = _flo_head(path, data, len(data))
    vectors = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    flow = np.ascontiguousarray(vectors.transpose(2, 0, 1), dtype=np.float32)
    known = np.isfinite(flow) & (np.abs(flow) < _FLO_UNKNOWN)
    return flow, known[0] & known[1]


def _read_kitti(path: Path) -> tuple[Flow, Valid]:
    picture = read_unchanged(path)
    if picture.dtype != np.uint16 or picture.ndim != 3 or picture.shape[2] != 3:
        raise DatasetError(f"{path}: {picture.dtype} {picture.shape}; KITTI flow is a 16-bit PNG of three channels")
    flow = (picture[..., 2:0:-1].transpose(2, 0, 1).astype(np.float32) - _KITTI_ZERO) / np.float32(_KITTI_STEPS_PER_PX)
    return np.ascontiguousarray(flow), picture[..., 0] != 0


def _flo_bytes(flow: Flow, valid: Valid) -> bytes:
    height, width = valid.shape
    vectors = np.where(valid, flow, _FLO_UNKNOWN_VALUE).transpose(1, 2, 0).astype("<f4")
    return _FLO_MAGIC + np.array([width, height], "<i4").tobytes() + vectors.tobytes()


def _npy_bytes(flow: Flow, valid: Valid) -> bytes:
    file = io.BytesIO()
    np.save(file, np.where(valid, flow, np.float32(np.nan)).transpose(1, 2, 0).astype("<f4"))
    return file.getvalue()


def _kitti_bytes(flow: Flow, valid: Valid) -> bytes:
    steps = np.rint(np.where(valid, flow, 0) * _KITTI_STEPS_PER_PX) + _KITTI_ZERO
    known = valid & ((steps >= 0) & (steps < 1 << 16)).all(axis=0)
    picture = np.stack([known, steps[1] * known, steps[0] * known], axis=-1).astype(np.uint16)
    return bytes(cv2.imencode(".png", picture)[1])
