"""The Python examples of the pages pass ``mypy --strict``, and those of the API run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pytest

import mostnet.video
from mostnet.bench.gpu.standin.toy import SIZE_HW, frame_of
from mostnet.contract import Frame
from mostnet.engine import Engine, Output
from mostnet.video import Correction, SceneEvent, Stabiliser, StabiliserOptions, VideoReader, VideoWriter
from mostnet.video.camera import source as camera_source
from tests.toy_graph import save_toy

ROOT = Path(__file__).parents[2]

#: What the examples of a page take as given. A page that is not named takes nothing.
GIVEN = {
    "README.md": """
from mostnet.contract import Frame
frame: Frame
other_frame: Frame
camera_frames: list[Frame]
def show(picture: Frame) -> None: ...
""",
    "docs/engine.md": """
from collections.abc import Iterator
from types import SimpleNamespace
from mostnet import Engine
from mostnet.contract import Frame
engine: Engine
frame: Frame
sdk: SimpleNamespace
def show(picture: Frame) -> None: ...
""",
    "docs/stabiliser.md": """
from collections import deque
from collections.abc import Iterator
from mostnet import Engine, Frame
from mostnet.video import Stabiliser, StabiliserOptions
engine: Engine
frames: Iterator[Frame]
def show(picture: Frame) -> None: ...
""",
}
PAGES = ("README.md", "docs/engine.md", "docs/stabiliser.md", "docs/api.md")


def examples(page: str) -> list[str]:
    """The Python examples of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, f"{page} has no example"
    return found


def test_the_examples_pass_mypy_strict(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    files = []
    for page in PAGES:
        for number, example in enumerate(examples(page)):
            text = GIVEN.get(page, "") + example
            files.append(tmp_path / f"{Path(page).stem.lower()}_{number}.py")
            files[-1].write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary"]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache" / "examples")]
    done = subprocess.run([*command, *cache, *map(str, files)], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class FakeCapture:
    """A camera of OpenCV that gives toy frames for ever."""

    def __init__(self, number: int) -> None:
        self.count = number

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        self.count += 1
        return True, frame_of(self.count % 200)

    def get(self, name: int) -> float:
        return 25.0

    def release(self) -> None:
        pass


class CheckedStabiliser(Stabiliser):
    """Refuses a picture of another frame than its correction's."""

    def __init__(self, options: StabiliserOptions | None = None) -> None:
        super().__init__(options)
        self.given: list[Frame] = []
        self.applied: list[int] = []

    def update(self, output: Output, frame: Frame, *, event: SceneEvent | None = None) -> Correction | None:
        self.given.append(output.enhanced.copy())
        return super().update(output, frame, event=event)

    def apply(self, picture: Frame, correction: Correction) -> Frame:
        assert np.array_equal(picture, self.given[correction.state.frame_id])
        self.applied.append(correction.state.frame_id)
        return super().apply(picture, correction)


def write_model_and_clip(folder: Path, *, frames: int) -> None:
    """The files that the examples open."""
    save_toy(folder / "model.onnx")
    with VideoWriter(folder / "clip.mp4", 25, SIZE_HW) as writer:
        for count in range(frames):
            writer.write(frame_of(count))


@pytest.mark.parametrize("lookahead", [0, 4])
@pytest.mark.parametrize("page", ["docs/api.md", "docs/stabiliser.md"])
def test_each_picture_of_a_stabiliser_s_example_gets_its_own_correction(
    page: str, lookahead: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    (example,) = (text for text in examples(page) if "Stabiliser(" in text)
    assert "lookahead=4" in example
    write_model_and_clip(tmp_path, frames=7)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mostnet.video, "Stabiliser", CheckedStabiliser)
    shown: list[Frame] = []
    with Engine("model.onnx") as engine:
        names = {"engine": engine, "frames": [frame_of(count) for count in range(7)], "show": shown.append}
        names |= {"deque": deque, "Frame": Frame, "Stabiliser": CheckedStabiliser}
        names |= {"StabiliserOptions": StabiliserOptions}
        text = example.replace("lookahead=4", f"lookahead={lookahead}")
        exec(compile(text, page, "exec"), names)
    steady = names["steady"]
    assert isinstance(steady, CheckedStabiliser) and steady.options.lookahead == lookahead
    assert steady.applied == list(range(7))


@pytest.mark.parametrize("number", range(4), ids=["run", "stabiliser", "camera", "own-camera"])
def test_the_examples_of_the_api_run(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    assert len(examples("docs/api.md")) == 4
    write_model_and_clip(tmp_path, frames=6)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(camera_source.cv2, "VideoCapture", FakeCapture)
    exec(compile(examples("docs/api.md")[number], "docs/api.md", "exec"), {"__name__": "example"})
    said = capsys.readouterr().out
    if number == 0:
        assert said.startswith("20 ")
        assert len(list(VideoReader("out.mp4"))) == 20
    elif number == 1:
        assert len(list(VideoReader("steady.mp4"))) == 6
    elif number == 2:
        assert said.count("(64, 80, 3)") == 10
    else:
        assert "2.0\n" in said and "camera fault: OSError: the cable is out\n" in said and "released\n" in said
