"""Frames: synthetic ones move and repeat exactly, video frames are resized, both are looped."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.bench import frames as frames_module
from mostnet.bench.frames import load_frames, synthetic_frames
from mostnet.contract import VideoError

from ..video.samples import damage_packet, moving_frames, write_with_av

SIZE_HW = (64, 96)


def write_video(path: Path, count: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 25, (128, 80))
    assert writer.isOpened()
    for t in range(count):
        writer.write(np.full((80, 128, 3), 20 * t, np.uint8))
    writer.release()
    return path


def shift_px(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """The whole-pixel shift at which ``before`` contains the inner part of ``after`` exactly."""
    reach, (height, width) = 7, SIZE_HW
    inner = after[reach:-reach, reach:-reach]
    places = itertools.product(range(2 * reach + 1), repeat=2)
    found = [
        (y - reach, x - reach)
        for y, x in places
        if np.array_equal(before[y : y + height - 2 * reach, x : x + width - 2 * reach], inner)
    ]
    assert len(found) == 1
    return found[0]


def test_synthetic_frames_depend_only_on_their_seed() -> None:
    first, again, other = (synthetic_frames(SIZE_HW, 5, seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_synthetic_frames_are_textured_and_move_by_pixels() -> None:
    clip = synthetic_frames(SIZE_HW, 40, seed=0)
    assert all(f.shape == (*SIZE_HW, 3) and f.dtype == np.uint8 and f.flags.c_contiguous for f in clip)
    for before, after in itertools.pairwise(clip):
        assert 3.0 < np.hypot(*shift_px(before, after)) < 6.5, "4.8 px a frame, rounded to whole pixels"
        assert after.std() > 20


def test_a_video_is_resized_and_looped(tmp_path: Path) -> None:
    frames = load_frames(write_video(tmp_path / "short.avi", 4), SIZE_HW, limit=10, seed=0)
    assert frames.source == "short.avi"
    assert [int(f[32, 48].mean()) for f in frames.frames] == [0, 20, 40, 60]
    assert frames.frames[0].shape == (*SIZE_HW, 3)
    assert frames[4] is frames.frames[0] and frames[11] is frames.frames[3]


def test_no_more_frames_than_asked_for_are_read(tmp_path: Path) -> None:
    assert len(load_frames(write_video(tmp_path / "v.avi", 6), SIZE_HW, limit=3, seed=0).frames) == 3


def test_the_frames_are_bounded_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "_MOST_BYTES", 20 * 64 * 96 * 3)
    frames = load_frames(None, SIZE_HW, limit=500, seed=7)
    assert len(frames.frames) == 20
    assert frames.source == "synthetic moving texture, seed 7"
    assert frames[20] is frames.frames[0]


def test_damage_before_the_last_frame_taken_is_an_error(tmp_path: Path) -> None:
    path = write_with_av(tmp_path / "v.mp4", moving_frames(60))
    damage_packet(path, 24)
    with pytest.raises(VideoError, match=r"v\.mp4: damaged at frame 2\d "):
        load_frames(path, SIZE_HW, limit=40, seed=0)
    assert len(load_frames(path, SIZE_HW, limit=15, seed=0).frames) == 15


def test_a_missing_video_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        load_frames(tmp_path / "gone.mp4", SIZE_HW, limit=3, seed=0)


def test_a_video_of_another_shape_keeps_its_shape(tmp_path: Path) -> None:
    frames = load_frames(write_video(tmp_path / "v.avi", 3), (96, 96), limit=3, seed=0)
    last = frames.frames[2]
    assert last.shape == (96, 96, 3)
    assert (last == 40).all()
