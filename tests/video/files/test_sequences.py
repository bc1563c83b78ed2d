"""Folders and patterns of pictures, in numeric order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.contract import VideoError
from mostnet.video.files.sequences import find_pictures, is_pattern


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """``frames [1]/``: 1.png to 12.png, and files that are no pictures."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "frames [1]"
    (place / "15.png").mkdir(parents=True)
    for k in range(1, 13):
        cv2.imwrite(str(place / f"{k}.png"), np.full((16, 16, 3), k, np.uint8))
    for name in ("Thumbs.db", ".DS_Store", "data.json", "._3.png", ".hidden.png", "notes.txt"):
        (place / name).write_text("x")
    return place


def _names(source: str | Path) -> list[str]:
    found = find_pictures(source)
    assert found is not None
    return [path.name for path in found.paths]


@pytest.mark.parametrize(
    "pattern",
    ["frames [1]", "frames [1]/", "frames [1]/*.png", "frames [1]/*", "fr*/*.png", "frames [1]/%d.png"],
)
def test_numeric_order(folder, pattern, caplog):
    wanted = [f"{k}.png" for k in range(1, 13)]
    assert _names(pattern) == wanted
    assert _names(folder.parent / pattern) == wanted
    assert caplog.text == ""


def test_digits_of_a_pattern(folder):
    assert _names("frames [1]/%02d.png") == ["10.png", "11.png", "12.png"]
    assert _names("frames [1]/1?.png") == ["10.png", "11.png", "12.png"]
    (folder / "100%_7.PNG").write_bytes((folder / "1.png").read_bytes())
    assert _names("frames [1]/100%%_%d.PNG") == ["100%_7.PNG"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("%05d.png", True), ("%%%d.png", True), ("%%_%d.png", True), ("%%05d.png", False), ("%%d.png", False)],
)
def test_an_escaped_per_cent_sign_is_no_number(tmp_path, name, expected):
    assert is_pattern(tmp_path / name) == expected
    if not expected:
        assert find_pictures(tmp_path / name) is None


def test_a_file_of_that_name_comes_first(folder):
    for name in ("a%d.png", "[1].png", "*.png"):
        (folder / name).write_bytes((folder / "1.png").read_bytes())
        assert _names(folder / name) == [name]


def test_nothing_found_is_an_error(folder):
    for pattern in ("frames [1]/*.jpg", "frames [1]/f%04d.png", "none/%d.png", "none/*.png"):
        with pytest.raises(VideoError, match="no picture has a name of this pattern"):
            find_pictures(pattern)
    with pytest.raises(VideoError, match="is a folder; give a video file in it, or a folder of pictures"):
        find_pictures(folder.parent)


def test_other_names_are_not_pictures(folder):
    for name in ("none.png", "none.mp4", "v*.mp4", "v%d.mp4", "frames [1]/notes.txt"):
        assert find_pictures(name) is None


def test_a_missing_number_is_said(folder, caplog):
    (folder / "5.png").unlink()
    (folder / "9.png").unlink()
    for source in (folder, "frames [1]/%d.png"):
        caplog.clear()
        assert len(_names(source)) == 10
        assert "a number is missing after 4.png (2 such gaps)" in caplog.text


@pytest.mark.parametrize("step", [2, 10])
def test_even_steps_miss_nothing(tmp_path, caplog, step):
    for k in range(5):
        (tmp_path / f"f{step * k:04d}.png").touch()
    assert len(_names(tmp_path)) == 5
    assert caplog.text == ""


def test_several_kinds_are_said(folder, caplog):
    for name in ("13.jpg", "14.JPEG"):
        (folder / name).touch()
    assert len(_names(folder)) == 14
    assert "pictures of several kinds (.jpg, .png)" in caplog.text


def test_the_same_numbers_in_two_kinds_miss_nothing(folder, caplog):
    for number in range(1, 13):
        (folder / f"{number}.jpg").touch()
    assert len(_names(folder)) == 24
    assert "missing" not in caplog.text
