"""A window on the screen."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import cv2

from mostnet.contract import Frame, VideoError

_QUIT = (ord("q"), 27)


class Window:
    """Shows pictures; ``closed`` becomes true on ``q``, Escape or the close button."""

    def __init__(self, title: str = "mostnet") -> None:
        """Open the window.

        Raises:
            VideoError: there is no display, or this OpenCV was built without windows.
        """
        self._title = title
        self.closed = False
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise VideoError("--view needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set; use --output")
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise VideoError(
                f"cannot open a window ({error.err}); install opencv-python instead of opencv-python-headless"
            ) from error

    def show(self, picture: Frame) -> None:
        """Show uint8 ``(H, W, 3)`` BGR and read the keyboard."""
        if self.closed:
            return
        cv2.imshow(self._title, picture)
        key = cv2.waitKey(1) & 0xFF
        self.closed = key in _QUIT or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1

    def close(self) -> None:
        """Close the window; closing twice does nothing."""
        self.closed = True
        with suppress(cv2.error):  # the close button may have destroyed it already
            cv2.destroyWindow(self._title)
