"""Picture files that are hard to read, made byte by byte or with OpenCV."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

SIZE_HW = (64, 96)
SQUARE = np.zeros(SIZE_HW, np.uint8)
SQUARE[16:48, 24:72] = 1


def png(
    rows: np.ndarray,
    *,
    colour_type: int = 0,
    depth: int = 8,
    palette: bytes = b"",
    opacity: bytes = b"",
    size_hw: tuple[int, int] | None = None,
) -> bytes:
    """A PNG of packed rows ``(H, bytes)``; ``size_hw`` is what the header claims."""
    height, width = size_hw or SIZE_HW
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header)]
    chunks += [(name, part) for name, part in ((b"PLTE", palette), (b"tRNS", opacity)) if part]
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, part) for name, part in chunks)


def palette_png(indices: np.ndarray, *colours: tuple[int, int, int], opacity: bytes = b"") -> bytes:
    """A PNG with a palette, as labelme and DAVIS write masks; colours are RGB."""
    return png(indices, colour_type=3, palette=b"".join(map(bytes, colours)), opacity=opacity, size_hw=indices.shape)


def encoded(picture: np.ndarray, suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, picture)[1])


def noise(size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (*size_hw, 3), np.uint8)


def turned_jpeg(picture: np.ndarray, orientation: int) -> bytes:
    """A JPEG with an EXIF orientation."""
    data = encoded(picture, ".jpg")
    tiff = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0) + b"\0\0\0\0"
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def bad_files(folder: Path) -> dict[Path, str]:
    """Files that no picture can be read from, with a pattern of the error that each should get."""
    folder.mkdir(parents=True, exist_ok=True)
    jpeg, whole = encoded(noise(), ".jpg"), encoded(noise())
    bytes_of = {
        "huge.png": (png(SQUARE, size_hw=(100_000, 100_000)), "says that it is 100000x100000; pictures have 1 to 134"),
        "large.png": (png(SQUARE, size_hw=(20_000, 20_000)), "says that it is 20000x20000"),
        "none.png": (png(SQUARE, size_hw=(0, 96)), "says that it is 0x96"),
        "huge.jpg": (_with_size(jpeg, 65_000), "says that it is 65000x65000"),
        "short.png": (whole[: len(whole) // 2], "damaged, its end is missing"),
        "short.jpg": (jpeg[: len(jpeg) // 2], "damaged, its end is missing"),
        "header.jpg": (jpeg[:30], "damaged, its end is missing"),
        "flipped.png": (whole[:3000] + bytes([whole[3000] ^ 255]) + whole[3001:], "damaged"),
        "empty.png": (b"", "not a picture in PNG or JPEG, or damaged (0 bytes)"),
        "text.png": (b"a text file of some length, as an error page", "not a picture in PNG or JPEG"),
        "animation.png": (b"GIF89a" + bytes(100), "not a picture in PNG or JPEG"),
    }
    found = {}
    for name, (data, text) in bytes_of.items():
        (folder / name).write_bytes(data)
        found[folder / name] = text
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)  # the name of a socket has at most 107 bytes
        server.bind("socket.png")
        os.chdir(here)
    found |= {folder / f"{name}.png": "a folder, pipe or device, but expected a regular" for name in ("folder", "pipe")}
    found |= {folder / f"{name}.png": "a folder, pipe or device, but expected a regular" for name in ("zero", "socket")}
    (folder / "gone.png").symlink_to(folder / "nowhere")
    found[folder / "gone.png"] = "cannot be read (No such file or directory)"
    with (folder / "sparse.png").open("wb") as file:
        file.truncate(1 << 41)
    found[folder / "sparse.png"] = "has 2199.0 GB, but expected at most 1.1"
    return found


def _chunk(name: bytes, part: bytes) -> bytes:
    return struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))


def _with_size(jpeg: bytes, side: int) -> bytes:
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", side, side) + jpeg[at + 9 :]
