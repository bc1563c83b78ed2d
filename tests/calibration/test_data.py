"""The frames to calibrate on, and the refused data."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.calibration import CalibrationData
from mostnet.contract import CalibrationError
from tests.training.data.picture_files import bad_files

from .conftest import SIZE, write_sequence


def lengths(data: CalibrationData) -> list[int]:
    return [len(list(sequence)) for sequence in data.sequences()]


def test_training_sequences_in_order(dataset: Path) -> None:
    sequences = [list(s) for s in CalibrationData(dataset, SIZE).sequences()]
    assert [len(s) for s in sequences] == [10, 6]
    first = cv2.imread(str(dataset / "train/a/input/000000.png"))
    assert np.array_equal(sequences[0][0], first)
    assert lengths(CalibrationData(dataset / "train", SIZE)) == [10, 6]
    assert lengths(CalibrationData(dataset / "train" / "b", SIZE)) == [6]


@pytest.mark.parametrize(("frames", "expected"), [(2, [2]), (8, [8]), (15, [10, 5]), (16, [10, 6])])
def test_exactly_the_frames_asked_for(dataset: Path, frames: int, expected: list[int]) -> None:
    found = lengths(CalibrationData(dataset, SIZE, frames))
    assert sum(found) == frames
    assert len(found) == len(expected)


def test_many_sequences_are_sampled_evenly(tmp_path: Path) -> None:
    for i, count in enumerate((9, 3, 9, 9, 12)):
        write_sequence(tmp_path / "train" / str(i), count, seed=i)
    assert lengths(CalibrationData(tmp_path, SIZE, 16)) == [8, 8]
    assert lengths(CalibrationData(tmp_path, SIZE, 42)) == [9, 3, 9, 9, 12]


def test_the_frames_of_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 25, SIZE[::-1])
    for i in range(5):
        writer.write(np.full((*SIZE, 3), 40 * i, np.uint8))
    writer.release()
    (found,) = [list(sequence) for sequence in CalibrationData(path, SIZE, 3).sequences()]
    assert [int(frame.mean()) for frame in found] == [0, 40, 80]
    with pytest.raises(CalibrationError, match="ran out after 5 frames, 6 are wanted; give more of it, or a smaller"):
        lengths(CalibrationData(path, SIZE, 6))


def test_another_size_is_refused_or_scaled(dataset: Path) -> None:
    with pytest.raises(CalibrationError, match=r"frames are 64x96, the graph takes 128x128; export with --size 64x96"):
        lengths(CalibrationData(dataset, (128, 128)))
    frame = next(next(CalibrationData(dataset, (128, 128), resize=True).sequences()))
    assert frame.shape == (128, 128, 3)


def test_another_size_is_found_before_the_work_begins(dataset: Path, tmp_path: Path) -> None:
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"FFV1"), 25, SIZE[::-1])
    writer.write(np.zeros((*SIZE, 3), np.uint8))
    writer.release()
    for source in (dataset, video):
        with pytest.raises(CalibrationError, match="frames are 64x96, the graph takes 128x128"):
            CalibrationData(source, (128, 128)).check()
        CalibrationData(source, SIZE).check()


def test_the_frames_are_counted_and_placed(dataset: Path) -> None:
    assert str(CalibrationData(dataset, SIZE).runs()) == f"16 frames of 2 sequences of {dataset / 'train'}"
    assert str(CalibrationData(dataset / "train/b", SIZE, 3).runs()) == f"3 frames of {dataset / 'train/b'}"


def test_an_empty_set(tmp_path: Path) -> None:
    (tmp_path / "train" / "a" / "input").mkdir(parents=True)
    for place in (tmp_path, tmp_path / "train" / "a"):
        with pytest.raises(CalibrationError, match="no frames to calibrate on; expected a video, or pictures in ROOT"):
            lengths(CalibrationData(place, SIZE))


def test_a_corrupt_frame_is_named(tmp_path: Path) -> None:
    write_sequence(tmp_path / "s", 4, seed=0)
    bad = tmp_path / "s" / "input" / "000002.png"
    bad.write_bytes(bad.read_bytes()[:20])
    with pytest.raises(CalibrationError, match=r"000002\.png: not a picture in PNG or JPEG, or damaged \(20 bytes\)"):
        lengths(CalibrationData(tmp_path, SIZE))


def test_frames_and_sequences_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for sequence in (1, 2, 10):
        (tmp_path / f"{sequence}/input").mkdir(parents=True)
        for frame in (1, 2, 10):
            picture = np.full((*SIZE, 3), 10 * sequence + frame, np.uint8)
            cv2.imwrite(str(tmp_path / f"{sequence}/input/{frame}.png"), picture)
    frames = [int(frame[0, 0, 0]) for part in CalibrationData(tmp_path, SIZE).sequences() for frame in part]
    assert frames == [11, 12, 20, 21, 22, 30, 101, 102, 110]


def test_capital_suffixes_are_read_and_hidden_files_are_not(tmp_path: Path) -> None:
    write_sequence(tmp_path / "s", 4, seed=0)
    (tmp_path / "s/input/000003.png").rename(tmp_path / "s/input/000003.PNG")
    (tmp_path / "s/input/._000003.png").write_bytes(b"not a picture")
    assert lengths(CalibrationData(tmp_path, SIZE)) == [4]


def test_a_bad_file_is_named_before_the_work_begins(tmp_path: Path) -> None:
    write_sequence(tmp_path / "s", 4, seed=0)
    last = tmp_path / "s/input/000003.png"
    for path, text in bad_files(tmp_path / "bad").items():
        last.unlink()
        last.symlink_to(path)
        for use in (lengths, CalibrationData.digest):
            if path.name in ("pipe.png", "zero.png") or use is lengths:
                with pytest.raises(CalibrationError, match=rf"000003\.png: .*{re.escape(text)}"):
                    use(CalibrationData(tmp_path, SIZE))


@pytest.mark.parametrize("name", ["pipe.png", "zero.png"])
def test_a_pipe_is_no_calibration_video(tmp_path: Path, name: str) -> None:
    bad_files(tmp_path / "bad")
    with pytest.raises(CalibrationError, match=f"{name}: a pipe or device; calibration reads a video twice"):
        CalibrationData(tmp_path / "bad" / name, SIZE)


def test_too_few_and_missing(dataset: Path) -> None:
    with pytest.raises(CalibrationError, match="1 calibration frames; expected at least 2"):
        CalibrationData(dataset, SIZE, 1)
    with pytest.raises(CalibrationError, match="gone: no such video or dataset"):
        CalibrationData(Path("gone"), SIZE)
    with pytest.raises(CalibrationError, match="ran out after 16 frames, 17 are wanted"):
        lengths(CalibrationData(dataset, SIZE, 17))


def test_the_digest_follows_content_and_settings(tmp_path: Path) -> None:
    write_sequence(tmp_path / "s", 4, seed=0)
    before = CalibrationData(tmp_path, SIZE).digest()
    assert CalibrationData(tmp_path, SIZE).digest() == before
    assert CalibrationData(tmp_path, SIZE, 3).digest() != before
    picture = tmp_path / "s" / "input" / "000003.png"
    cv2.imwrite(str(picture), np.zeros((*SIZE, 3), np.uint8))
    assert CalibrationData(tmp_path, SIZE).digest() != before


def test_frames_of_another_shape_are_scaled_as_in_a_run(tmp_path: Path) -> None:
    """A wide frame lies between its mirror images in a square one."""
    write_sequence(tmp_path / "s", 2, seed=0)
    frame = next(next(CalibrationData(tmp_path, (96, 96), resize=True).sequences()))
    assert frame.shape == (96, 96, 3)
    assert np.array_equal(frame[15::-1], frame[17:33])
    assert np.array_equal(frame[16:-16], next(next(CalibrationData(tmp_path, SIZE).sequences())))
