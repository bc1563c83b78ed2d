"""One small checkpoint and one moving clip for all export tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from mostnet.export.graph import build_graph
from mostnet.model import initial_checkpoint, load_checkpoint, save_checkpoint

from ..traces import trace_once  # noqa: F401

SIZE = (96, 128)
SIZE_TEXT = f"{SIZE[0]}x{SIZE[1]}"


def moving_clip(frames: int, size_hw: tuple[int, int] = SIZE, *, seed: int = 0) -> list[np.ndarray]:
    """Several octaves of coloured noise that shake by several pixels: uint8 ``(H, W, 3)`` BGR."""
    rng = np.random.default_rng(seed)
    height, width = size_hw[0] + 40, size_hw[1] + 40
    canvas = np.full((height, width, 3), 128.0)
    for octave in range(5):
        cells = rng.normal(0, 60 / 1.5**octave, (height // (32 >> octave) + 2, width // (32 >> octave) + 2, 3))
        canvas += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    clip = []
    for t in range(frames):
        y, x = (int(20 + 18 * np.sin(rate * t)) for rate in (1.3, 0.9))
        clip.append(canvas[y : y + size_hw[0], x : x + size_hw[1]].clip(0, 255).astype(np.uint8))
    return clip


@pytest.fixture(scope="session")
def clip() -> list[np.ndarray]:
    return moving_clip(12)


@pytest.fixture(scope="session")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    save_checkpoint(initial_checkpoint("nano", seed=1, random_head=True), path)
    return path


@pytest.fixture(scope="session")
def half(checkpoint_path: Path) -> onnx.ModelProto:
    """The checkpoint's graph in half precision, traced once. A test that changes it takes a copy."""
    loaded = load_checkpoint(checkpoint_path)
    return build_graph(loaded, size_hw=SIZE, precision="fp16", opset=19, checkpoint_sha256="x")


@pytest.fixture(scope="session")
def video_path(clip: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip as a lossless file."""
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 25, SIZE[::-1])
    assert writer.isOpened()
    for frame in clip:
        writer.write(frame)
    writer.release()
    return path


def int8(checkpoint: Path, video: Path, output: Path, *more: str) -> list[str]:
    """Arguments of an INT8 export of the usual size."""
    usual = ["--int8", "--calib", str(video), "--calib-frames", "6", "--size", SIZE_TEXT, "--output", str(output)]
    return [str(checkpoint), *usual, *more]
