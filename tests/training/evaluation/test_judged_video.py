"""The videos of an evaluation: what is on them, and that a failure leaves none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import DatasetError, Frame, VideoError
from mostnet.contract.metrics import FlowError, Overlap
from mostnet.engine import Output
from mostnet.training.data.dataset import LabelledFrame, SequenceFiles
from mostnet.training.evaluation import judged_video
from mostnet.training.evaluation.evaluate import JudgedFrame
from mostnet.training.evaluation.judged_video import judged_picture, judged_videos, titled
from mostnet.training.evaluation.scores import FrameScore
from mostnet.video import FlowScale, VideoReader

HEIGHT, WIDTH = 210, 280
ALL = {name: (Path("x"),) for name in ("reference", "mask", "flow")}


def plain(level: int) -> Frame:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def judged(labels: dict, *, name: str = "s", number: int = 0) -> JudgedFrame:
    """A frame of grey levels 40 (input), 120 (enhanced) and 200 (reference), with no teeth and no motion."""
    mask, flow = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((2, HEIGHT, WIDTH), np.float32)
    labelled = LabelledFrame(plain(40))
    if labels:
        labelled = LabelledFrame(plain(40), plain(200), mask, flow, np.ones((HEIGHT, WIDTH), bool))
    score = FrameScore(24.25, 0.912, FlowError(12.5, 10), Overlap(9, 10)) if labels else FrameScore()
    output = Output(plain(120), flow, mask, True, 0, None, 1.0)
    sequence = SequenceFiles(name, Path(name), (Path("x"),), labels)
    return JudgedFrame(sequence, number, labelled, output, score, replace(score, psnr_db=17.75))


def centres(picture: Frame, columns: int) -> list[list[int]]:
    """The blue level in the middle of each tile of the upper row, then of the lower row."""
    strip = (picture.shape[0] - 2 * HEIGHT) // 4
    rows = (3 * strip + HEIGHT // 2, 4 * strip + HEIGHT + HEIGHT // 2)
    return [[int(picture[y, x * WIDTH + WIDTH // 2, 0]) for x in range(columns)] for y in rows]


def test_pictures_flow_and_teeth_are_beside_their_labels() -> None:
    picture = judged_picture(judged(ALL), FlowScale())
    assert picture.shape[1] == 3 * WIDTH
    assert centres(picture, 3) == [[40, 120, 200], [255, 255, 40]]  # no motion is white


def test_without_labels_their_column_is_left_out() -> None:
    picture = judged_picture(judged({}), FlowScale())
    assert picture.shape[1] == 2 * WIDTH
    assert centres(picture, 2) == [[40, 120], [255, 40]]


def test_figures_of_the_frame_are_written_above(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    monkeypatch.setattr(judged_video, "write_text", lambda picture, text, *_: texts.append(text))
    judged_picture(judged(ALL, name="tooth 7", number=12), FlowScale())
    assert "tooth 7, frame 12" in texts
    assert "PSNR 24.25 dB (input 17.75), SSIM 0.912 (input 0.912), EPE 1.25 px, IoU 0.900" in texts
    judged_picture(judged({}), FlowScale())
    assert "no figures: this frame has no label of a trained task" in texts


def test_a_title_is_legible_on_a_small_picture() -> None:
    small = titled(np.zeros((24, 32, 3), np.uint8), "input", (24, 32))
    assert small.shape[1] >= 280
    assert small.max() == 255


def test_one_file_per_sequence(tmp_path: Path) -> None:
    with judged_videos(tmp_path / "video") as videos:
        for name, frames in (("a", 3), ("b", 2)):
            for number in range(frames):
                videos.add(judged(ALL, name=name, number=number))
    assert videos.files == [tmp_path / "video" / "a.mp4", tmp_path / "video" / "b.mp4"]
    counts = []
    for path in videos.files:
        with VideoReader(path) as reader:
            counts.append(sum(1 for _ in reader))
    assert counts == [3, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["video"]


def judge_and_fail(folder: Path) -> None:
    with judged_videos(folder) as videos:
        videos.add(judged(ALL))
        raise DatasetError("a damaged picture")


def test_a_failure_leaves_no_video(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="a damaged picture"):
        judge_and_fail(tmp_path / "video")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (OSError(28, "No space left on device"), "make room there, or leave --video out"),
        (OSError(5, "Input/output error"), "leave --video out"),
    ],
)
def test_a_video_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: OSError, advice: str
) -> None:
    def fail(*_: object) -> None:
        raise VideoError("hidden/s.mp4: cannot write frame 0") from cause

    monkeypatch.setattr(judged_video.VideoWriter, "write", fail)
    message = rf"/video: .*{cause.strerror}; {advice}$"
    with pytest.raises(VideoError, match=message), judged_videos(tmp_path / "video") as videos:
        videos.add(judged(ALL))
    assert list(tmp_path.iterdir()) == []


def test_a_failing_end_does_not_hide_the_error_of_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close = judged_video.VideoWriter.close

    def fail(self: judged_video.VideoWriter) -> None:
        close(self)
        raise VideoError("hidden/s.mp4: cannot finish the file")

    monkeypatch.setattr(judged_video.VideoWriter, "close", fail)
    with pytest.raises(DatasetError, match="a damaged picture"):
        judge_and_fail(tmp_path / "video")
    assert list(tmp_path.iterdir()) == []


def test_the_picture_is_no_larger_than_players_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged_video, "MAX_SIDE", 420)
    assert judged_picture(judged(ALL), FlowScale()).shape[1] == 420
