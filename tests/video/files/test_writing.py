"""Results as PNG files: all frames, or one."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.contract import FrameError, VideoError
from mostnet.video.files import writing
from mostnet.video.files.writing import PictureWriter

from ..samples import moving_frames

FRAMES = moving_frames(4, (33, 47))


def test_every_frame_is_a_file_of_its_number_with_every_bit(tmp_path: Path) -> None:
    writer = PictureWriter(tmp_path / "new" / "100%%_%03d.png", (33, 47))
    assert not (tmp_path / "new").exists()
    for frame in FRAMES:
        writer.write(frame)
    writer.close()
    names = [f"100%_00{k}.png" for k in range(4)]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    for name, frame in zip(names, FRAMES, strict=True):
        assert np.array_equal(cv2.imread(str(tmp_path / "new" / name)), frame)
    assert (writer.frames_written, writer.is_done) == (4, False)


def test_one_frame_alone(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    path.write_bytes(b"an earlier one")
    writer = PictureWriter(path, (33, 47), still=2)
    done = []
    for frame in FRAMES:
        writer.write(frame)
        done.append(writer.is_done)
    assert done == [False, False, True, True]
    assert np.array_equal(cv2.imread(str(path)), FRAMES[2])
    assert [file.name for file in tmp_path.iterdir()] == ["still.png"]


@pytest.mark.parametrize(
    ("name", "still", "text"),
    [
        ("a.jpg", 3, "a.jpg: pictures are written as PNG, which keeps every bit; end the name in .png"),
        ("a.png", None, "a.png: one picture cannot hold all frames; give a pattern with one number, such as"),
        ("%d-%d.png", None, "one number"),
        ("%%05d.png", None, "one number"),
        ("none/a.png", 3, "there is no folder none; make it first"),
        ("none/none/%d.png", None, "there is no folder none; make it first"),
        ("folder.png", 3, "folder.png: is a folder; give the name of a file"),
        ("f%d.png", None, "f%d.png: f007.png and perhaps others exist; give an empty or a new folder"),
    ],
)
def test_a_name_that_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, still: int | None, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.png").mkdir()
    Path("f007.png").write_bytes(b"of an earlier run")
    with pytest.raises(VideoError, match=re.escape(text)):
        PictureWriter(name, (33, 47), still=still)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f007.png", "folder.png"]


def test_a_full_disk_leaves_whole_pictures_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = PictureWriter(tmp_path / "%d.png", (33, 47))
    writer.write(FRAMES[0])

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_bytes", full)
    with pytest.raises(
        VideoError, match=r"1\.png: cannot be written \(No space left on device\); 1 pictures before it"
    ):
        writer.write(FRAMES[1])
    assert [file.name for file in tmp_path.iterdir()] == ["0.png"]


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError):
        PictureWriter(tmp_path / "%d.png", (33, 48)).write(FRAMES[0])
