"""What ``stream`` takes beside frames: the path of a video, and a ``cv2.VideoCapture``."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import SIZE_HW, frame_of, history
from mostnet.contract import BackendNotInstalledError, FrameError, VideoError
from mostnet.engine.streams import sources
from mostnet.video import VideoReader, VideoWriter
from tests.engine.backends import collect
from tests.engine.fake import fake_session


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames at 25 per second."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with VideoWriter(path, 25, SIZE_HW) as writer:
        for number in range(5):
            writer.write(np.full((*SIZE_HW, 3), 40 * number, np.uint8))
    return path


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_of_a_video(clip: Path, kind: type) -> None:
    session, _ = fake_session()
    with session, VideoReader(clip) as reader:
        outputs = list(session.stream(kind(clip)))
        wanted = [history(fake.mask) for fake in fake_session()[0].stream(reader)]
        assert [history(output.mask) for output in outputs] == wanted
        assert [output.timestamp for output in outputs] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
        assert all(isinstance(output.timestamp, float) for output in outputs)


def test_a_video_of_another_size(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "small.mp4", 25, (48, 64)) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    session, _ = fake_session()
    with (
        session,
        pytest.raises(FrameError, match=r"shape \(48, 64, 3\); expected \(64, 80, 3\), .* mostnet\.video\.run"),
    ):
        next(session.stream(tmp_path / "small.mp4"))


def test_no_video(tmp_path: Path) -> None:
    session, _ = fake_session()
    with session:
        with pytest.raises(VideoError, match=r"none\.mp4"):
            next(session.stream(str(tmp_path / "none.mp4")))
        assert history(session.infer(frame_of(1)).mask) == [1]


def test_no_reader_of_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError("No module named 'av'")

    monkeypatch.setattr(sources, "import_module", missing)
    session, _ = fake_session()
    with (
        session,
        pytest.raises(BackendNotInstalledError, match=r"clip\.mp4: reading a video needs PyAV.*pip install av"),
    ):
        next(session.stream("clip.mp4"))


def test_a_capture_of_a_file_ends_with_it(clip: Path) -> None:
    capture = cv2.VideoCapture(str(clip))
    session, _ = fake_session()
    with session:
        outputs = list(session.stream(capture))
    assert [(output.frame_id, output.timestamp) for output in outputs] == [(n, None) for n in range(5)]
    assert capture.isOpened(), "it is the caller's"
    capture.release()
    with fake_session()[0] as session, pytest.raises(VideoError, match="is not open"):
        next(session.stream(capture))


class Camera:
    """The interface of ``cv2.VideoCapture``: two frames, and then the cable is pulled."""

    def __init__(self) -> None:
        self.left = 2

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def grab(self) -> bool:
        raise AssertionError

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (True, frame_of(1)) if self.left >= 0 else (False, None)

    def get(self, propId: int) -> float:  # noqa: N803
        assert propId == cv2.CAP_PROP_FRAME_COUNT
        return -1.0


@pytest.mark.parametrize("drop", [None, "oldest"])
def test_a_camera_that_fails_is_no_end(drop: str | None) -> None:
    session, _ = fake_session()
    with session:
        outputs, error = collect(session.stream(Camera(), drop=drop))
        assert 1 <= len(outputs) <= 2
        assert isinstance(error, VideoError) and "gave no frame after 2 frames" in str(error)


def test_the_number_of_a_camera_is_told_what_to_do() -> None:
    session, _ = fake_session()
    with session, pytest.raises(TypeError, match=r"0, which is not iterable; .* cv2\.VideoCapture\(number\)"):
        session.stream(0)


def test_the_reader_is_imported_with_the_first_video() -> None:
    code = "import sys, mostnet.engine.streams.sources; print('av' in sys.modules, 'mostnet.video' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
