"""Frames with OpenCV's wide types pass ``mypy --strict``, and wrong names of options do not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CODE = """
from collections.abc import Iterator
import cv2
from mostnet import Engine, Frame, Output, Source

def small(capture: cv2.VideoCapture) -> Iterator[cv2.typing.MatLike]:
    while True:
        ok, frame = capture.read()
        yield cv2.resize(frame, (640, 480))

def run(engine: Engine, capture: cv2.VideoCapture, path: str) -> list[Output]:
    ok, frame = capture.read()
    source: Source = small(capture)
    for other in (source, [frame, frame], [(frame, 1.5)], capture, path):
        engine.stream(other, drop="oldest")
    enhanced: Frame = engine.infer(cv2.resize(frame, (640, 480))).enhanced
    return [engine.infer(frame), engine(frame), engine(enhanced)]

Engine("a.onnx", provider="gpu", results="borrowed", outputs=("enhanced", "mask"))
"""
WRONG = """
from mostnet import Engine
Engine("a.onnx", provider="tpu")
Engine("a.onnx", results="mine")
Engine("a.onnx", outputs=("depth",))
Engine("a.onnx").stream("clip.mp4", drop="newest")
"""


def mypy(path: Path, text: str) -> Iterator[str]:
    pytest.importorskip("mypy")
    path.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary"]
    cache = ["--cache-dir", str(Path(__file__).parents[2] / ".mypy_cache" / "examples")]
    done = subprocess.run([*command, *cache, path.name], cwd=path.parent, capture_output=True, text=True)
    assert done.stderr == ""
    return (line.split(": error: ")[0] for line in done.stdout.splitlines() if ": error: " in line)


def test_frames_of_opencv(tmp_path: Path) -> None:
    assert list(mypy(tmp_path / "frames.py", CODE)) == []


def test_unknown_names(tmp_path: Path) -> None:
    assert list(mypy(tmp_path / "wrong.py", WRONG)) == [f"wrong.py:{line}" for line in range(3, 7)]
