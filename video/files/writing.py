"""Write pictures as PNG files, which keep every bit."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import cv2

from mostnet.contract import Frame, VideoError, check_frame, write_bytes

from .sequences import is_pattern, numbered_file, numbered_files


class PictureWriter:
    """Write uint8 ``(H, W, 3)`` BGR frames to PNG files: all frames, or one.

    Frame *k*, counted from 0, becomes the file of number *k*. Each file is written whole or not at all, so an
    interrupted run leaves the files of the frames before.

    Attributes:
        path: pattern such as ``out/%05d.png``, or the file of the one frame.
        still: number of the one frame that is written; None for all frames.
        frames_written: number of files.
    """

    def __init__(self, path: str | Path, size_hw: tuple[int, int], *, still: int | None = None) -> None:
        """Check the path before any work.

        Args:
            path: see above. The last folder of a pattern is made if it is missing.
            size_hw: height and width of the frames, in pixels.
            still: see above.

        Raises:
            VideoError: no PNG, a pattern where one file is wanted or the reverse, the folder is missing or not
                writable, or files of the pattern exist.
        """
        self.path = Path(path)
        self.still = still
        self.frames_written = 0
        self._size_hw = size_hw
        self._count = 0
        self._check_name()
        self._check_folder()

    @property
    def is_done(self) -> bool:
        """Whether the one frame that is wanted is written."""
        return self.still is not None and self.frames_written > 0

    def write(self, frame: Frame, *, time_s: Fraction | None = None) -> None:
        """Write the next frame, or pass over it if another one is wanted; ``time_s`` has no effect.

        Raises:
            FrameError: wrong dtype or shape.
            VideoError: writing failed, for instance because the disk is full.
        """
        number = self._count
        self._count += 1
        if self.still not in (None, number):
            return
        path = self.path if self.still is not None else numbered_file(self.path, number)
        data = cv2.imencode(".png", check_frame(frame, self._size_hw))[1].tobytes()
        try:
            write_bytes(path, data)
        except OSError as error:
            kept = f"; {self.frames_written} pictures before it are whole" if self.frames_written else ""
            raise VideoError(f"{path}: cannot be written ({error.strerror}){kept}") from error
        self.frames_written += 1

    def close(self) -> None:
        """Do nothing: every file is finished already."""

    def _check_name(self) -> None:
        if self.path.suffix.lower() != ".png":
            raise VideoError(f"{self.path}: pictures are written as PNG, which keeps every bit; end the name in .png")
        if self.still is None and not is_pattern(self.path):
            raise VideoError(
                f"{self.path}: one picture cannot hold all frames; give a pattern with one number, such as "
                "out/%05d.png, or choose one frame with --still N"
            )

    def _check_folder(self) -> None:
        folder = self.path.parent
        needed = folder if self.still is not None or folder.exists() else folder.parent
        if not needed.is_dir():
            raise VideoError(f"{self.path}: there is no folder {needed}; make it first")
        if not os.access(needed, os.W_OK):
            raise VideoError(f"{self.path}: cannot write in {needed}; choose another folder")
        if self.still is not None and self.path.is_dir():
            raise VideoError(f"{self.path}: is a folder; give the name of a file")
        if self.still is None and (found := min(numbered_files(self.path), default=None)) is not None:
            raise VideoError(f"{self.path}: {found.name} and perhaps others exist; give an empty or a new folder")
