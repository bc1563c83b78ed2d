"""The threads of OpenCV."""

from __future__ import annotations

import cv2

from mostnet.contract.cores import default_threads


def limit_opencv_threads() -> None:
    """Keep OpenCV from using more threads than the CPU limit of a container allows; it misses most such limits."""
    if cv2.getNumThreads() > default_threads():
        cv2.setNumThreads(default_threads())
