"""Picture files as a video."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from mostnet.contract import Frame, VideoError
from mostnet.video.resize import resize_picture
from mostnet.video.timing import PICTURE_RATE

from .sequences import PictureFiles

_LOG = logging.getLogger(__name__)

#: First bytes of a format, the mark near its end, and a mark that must come before that one.
_ENDS = ((b"\x89PNG", b"IEND", b"IHDR"), (b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xda"))


class PictureSource:
    """Frames of picture files; ``VideoReader`` documents the behaviour."""

    pixel_aspect = Fraction(1)
    stopped = False

    def __init__(self, files: PictureFiles, *, fps: Fraction | None = None) -> None:
        self._files = files
        self.fps = fps or PICTURE_RATE
        self.frame_count = len(files.paths)
        self._damage: str | None = None
        self._done = 0
        self._is_scaled = False
        self._pictures = self._read()
        self._first = next(self._pictures, None)
        if self._first is None:
            raise VideoError(f"{files.name}: no picture in it can be read; {self._damage}")
        self.size_hw = self._first[1].shape[:2]

    def pictures(self) -> Iterator[tuple[Fraction, Frame]]:
        """Yield (seconds since the first frame, uint8 ``(H, W, 3)`` BGR); see ``VideoReader.timed`` for errors."""
        first, self._first = self._first, None
        if first is None:
            return
        yield self._timed(first, first[0])
        for indexed in self._pictures:
            yield self._timed(indexed, first[0])
        self.check()

    def check(self) -> None:
        """Raise if a picture before the last one read was left out; see ``VideoReader.check``."""
        if self._damage is not None:
            raise VideoError(f"{self._damage}; {self._done} of {self.frame_count} pictures could be read")

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _timed(self, indexed: tuple[int, Frame], start: int) -> tuple[Fraction, Frame]:
        index, picture = indexed
        self._done += 1
        if picture.shape[:2] != self.size_hw and not self._is_scaled:
            self._is_scaled = True
            size, first = (f"{hw[0]}x{hw[1]}" for hw in (picture.shape, self.size_hw))
            _LOG.warning("%s: is %s, scaled to the first picture's %s", self._files.paths[index], size, first)
        return (index - start) / self.fps, resize_picture(picture, self.size_hw)

    def _read(self) -> Iterator[tuple[int, Frame]]:
        """Index and picture of each file that can be read; the first that cannot is kept in ``_damage``."""
        for index, path in enumerate(self._files.paths):
            try:
                yield index, read_picture(path)
            except VideoError as error:
                self._damage = self._damage or str(error)


def read_picture(path: Path) -> Frame:
    """Read a picture, uint8 ``(H, W, 3)`` BGR, turned as its EXIF data say. Transparency is left out.

    Raises:
        VideoError: not a picture, or a damaged one.
    """
    if not path.is_file():
        raise VideoError(f"{path}: not a file; remove it, or replace it by a picture")
    try:
        data = path.read_bytes()
        picture = None if _is_cut(data) else _decode(data)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    if picture is None:
        raise VideoError(f"{path}: not a picture, or a damaged one ({len(data)} bytes); remove or replace it")
    return picture


def _is_cut(data: bytes) -> bool:
    """Whether the end is missing; OpenCV's decoders would write lines of their own about it."""
    return not data or any(
        data.startswith(start) and data.rfind(end) <= data.rfind(before) for start, end, before in _ENDS
    )


def _decode(data: bytes) -> Frame | None:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        picture: Frame | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # for instance a size beyond OpenCV's limit
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    return picture
