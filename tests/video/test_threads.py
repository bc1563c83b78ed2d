"""OpenCV and the encoder keep to the CPU limit of a container."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.contract import cores
from mostnet.video.threads import limit_opencv_threads
from mostnet.video.writer import VideoWriter


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 1)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_opencv() -> None:
    earlier = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        limit_opencv_threads()
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(earlier)


def test_the_encoder(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", size_hw=(64, 64), fps=Fraction(25)) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
        assert writer._stream.codec_context.thread_count == 1
