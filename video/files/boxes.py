"""The top-level boxes of an MP4, as far as they decide how the file can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

#: Returns ``size`` bytes from ``place`` on, fewer at the end.
ReadAt = Callable[[int, int], bytes]

#: Boxes that an MP4 or QuickTime file can begin with.
_FIRST = (b"ftyp", b"wide", b"free", b"skip", b"pnot", b"moov", b"mdat")
#: Most bytes of a pipe, and most boxes of a file, that are looked at.
_MOST_BYTES, _MOST_BOXES = 1 << 20, 100_000


def index_is_late(read_at: ReadAt) -> bool:
    """Whether the pictures come before the index (``moov``), so that reading needs a file that can seek."""
    for place, kind in _boxes(read_at):
        if kind in (b"moov", b"mdat") or place > _MOST_BYTES:
            return kind == b"mdat"
    return False


def second_movie(path: Path) -> bool:
    """Whether a whole MP4 follows the first one, as after ``cat a.mp4 b.mp4``; FFmpeg leaves it or a part out."""
    with path.open("rb") as file:

        def read_at(place: int, size: int) -> bytes:
            file.seek(place)
            return file.read(size)

        return sum(kind == b"moov" for _, kind in _boxes(read_at)) > 1


def _boxes(read_at: ReadAt) -> Iterator[tuple[int, bytes]]:
    """Place and kind of each box; nothing if the data are no MP4."""
    place = 0
    for _ in range(_MOST_BOXES):
        head = read_at(place, 16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if len(head) < 16 or (place == 0 and kind not in _FIRST):
            return
        yield place, kind
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if size < 8:  # 0 means "to the end"
            return
        place += size
