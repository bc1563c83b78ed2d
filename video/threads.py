"""The threads of OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from mostnet.contract.cores import default_threads


def limit_opencv_threads() -> None:
    """Keep OpenCV from using more threads than the CPU limit of a container allows; it misses most such limits."""
    if cv2.getNumThreads() > default_threads():
        cv2.setNumThreads(default_threads())


@contextmanager
def opencv_threads_kept() -> Iterator[None]:
    """Put OpenCV's number of threads back at the end of the block."""
    threads = cv2.getNumThreads()
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
