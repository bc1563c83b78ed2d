"""Frames of a camera, read with OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import cv2

from mostnet.contract import Frame, VideoError

#: Frame rate for the output file's header if the camera's driver gives none; frame times come from the clock.
UNKNOWN_RATE = Fraction(25)


class CameraSource:
    """Frames of a camera, until it is closed or fails."""

    frame_count: int | None = None
    sound = None
    pixel_aspect = Fraction(1)
    stopped = False

    def __init__(self, index: int) -> None:
        self._name = f"camera {index}"
        self._capture = _open_quietly(index)
        first: Frame | None = self._capture.read()[1] if self._capture.isOpened() else None
        if first is None:
            self._capture.release()
            raise VideoError(f"{self._name}: cannot be opened; check its number and that no other program uses it")
        self._first: Frame | None = first
        self.size_hw = (first.shape[0], first.shape[1])
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = Fraction(rate).limit_denominator(1001) if rate > 0 else UNKNOWN_RATE

    def pictures(self) -> Iterator[tuple[Fraction, Frame]]:
        """Yield (seconds since the first frame, uint8 ``(H, W, 3)`` BGR); raises VideoError when the camera fails."""
        start = time.monotonic()
        frame, self._first = self._first, None
        count = 0
        while frame is not None:
            yield Fraction(time.monotonic() - start), frame
            count += 1
            good, frame = self._capture.read()
            if not good:
                raise VideoError(f"{self._name}: gave no picture after frame {count - 1}; check its cable")

    def check(self) -> None:
        """Do nothing: ``pictures`` raises as soon as the camera fails."""

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()


def _open_quietly(index: int) -> cv2.VideoCapture:
    """Open without OpenCV's messages on stderr; the caller raises a one-line error."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(index)
    finally:
        cv2.utils.logging.setLogLevel(level)
