"""Steadiness of videos with known motion."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mostnet.contract import FrameError
from mostnet.video.steady import cli
from mostnet.video.steady.metrics import _low_frequency_share, compare, jitter, measure, vibration

from ..samples import write_with_av

SIZE_HW = (160, 200)
_LARGE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (240, 280, 3), np.uint8), (0, 0), 1.5)
COUNT = 50
SHAKE = 3 * np.sin(2 * np.pi * 0.3 * np.arange(COUNT))


def _frames(shake: np.ndarray) -> list[np.ndarray]:
    """A texture that moves by ``shake`` in x."""
    return [
        cv2.warpAffine(_LARGE, np.array([[1, 0, x - 40], [0, 1, -40]], float), SIZE_HW[::-1], flags=cv2.INTER_CUBIC)
        for x in shake
    ]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """(shaking file, steady file)."""
    folder = tmp_path_factory.mktemp("stability")
    shaking, steady = (write_with_av(folder / f"{n}.mp4", _frames(s)) for n, s in (("a", SHAKE), ("b", SHAKE * 0.1)))
    return shaking, steady


def test_the_path_is_the_known_one(clips):
    found = cli.measure_video(clips[0]).tracks
    assert found.frames == COUNT and found.untracked == 0
    assert found.path[:, 0] - found.path[0, 0] == pytest.approx(SHAKE - SHAKE[0], abs=0.25)
    assert found.vibration_px == pytest.approx(3 / np.sqrt(2), rel=0.1)
    assert found.jitter_px == pytest.approx(3 / np.sqrt(2), rel=0.15)
    assert found.stability < 0.2


def test_a_steadier_video_scores_better(clips):
    shaking, steady = (cli.measure_video(clip).tracks for clip in clips)
    assert steady.vibration_px < 0.2 * shaking.vibration_px
    assert steady.itf_db > shaking.itf_db + 6


def test_a_slow_pan_is_not_vibration():
    pan = np.stack([2.0 * np.arange(80), np.zeros(80)], axis=1)
    assert vibration(pan) < 1e-9
    assert jitter(pan) < 1e-9
    assert vibration(np.zeros((10, 2))) == 0


def test_cropping_and_distortion_are_recovered():
    frames = _frames(SHAKE[:4])
    centre = (99.5, 79.5)
    zoomed = [cv2.warpAffine(one, cv2.getRotationMatrix2D(centre, 2, 1.25), SIZE_HW[::-1]) for one in frames]
    found = compare(frames, zoomed)
    assert found.cropping == pytest.approx(0.8, abs=0.005)
    assert found.distortion == pytest.approx(1, abs=0.01)
    wide = np.array([[1.1, 0, -0.1 * 99.5], [0, 1, 0]])
    stretched = [cv2.warpAffine(one, wide, SIZE_HW[::-1]) for one in frames]
    assert compare(frames, stretched).distortion == pytest.approx(1 / 1.1, abs=0.005)


def test_cropping_is_the_mean_and_distortion_the_worst():
    """As in the paper: one frame with much zoom does not decide the cropping."""
    frames = _frames(SHAKE[:4])
    sizes = (1.0, 1.0, 1.0, 1.25)
    zoomed = [
        cv2.warpAffine(one, cv2.getRotationMatrix2D((99.5, 79.5), 0, size), SIZE_HW[::-1])
        for one, size in zip(frames, sizes, strict=True)
    ]
    assert compare(frames, zoomed).cropping == pytest.approx((3 + 0.8) / 4, abs=0.005)
    wide = np.array([[1.1, 0, -0.1 * 99.5], [0, 1, 0]])
    assert compare(frames, [*frames[:3], cv2.warpAffine(frames[3], wide, SIZE_HW[::-1])]).distortion == pytest.approx(
        1 / 1.1, abs=0.005
    )


def test_frames_without_a_match_are_counted():
    frames = _frames(SHAKE[:3])
    assert compare(frames, [*frames[:2], np.zeros_like(frames[2])]).unmatched == 1


def test_stability_is_the_share_of_the_second_to_sixth_frequency():
    """Frequency 1 is the constant. A third of the energy is above."""
    frame = np.arange(64)
    slow, fast = np.sin(2 * np.pi * 5 * frame / 64), np.sin(2 * np.pi * 20 * frame / 64)
    path = np.stack([7 + np.sqrt(2) * slow + fast, slow, slow], axis=1)
    assert _low_frequency_share(path) == pytest.approx(2 / 3)
    sixth = np.sin(2 * np.pi * 6 * frame / 64)[:, None].repeat(3, axis=1)
    assert _low_frequency_share(sixth) < 1e-9


def test_videos_of_two_lengths_are_refused():
    frames = _frames(SHAKE[:3])
    with pytest.raises(FrameError, match="differ in length"):
        compare(frames, frames[:2])


def test_too_little_to_measure():
    with pytest.raises(ValueError, match="at least two frames"):
        measure(_frames(SHAKE[:1]))
    grey = np.full((*SIZE_HW, 3), 99, np.uint8)
    with pytest.raises(ValueError, match="no frames of the two videos could be matched"):
        compare([grey], [grey])
    assert measure([grey, grey]).untracked == 1


def test_tracks_of_chance_are_no_motion() -> None:
    """Noise has corners, and so has another scene: their tracks do not agree."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (*SIZE_HW, 3), np.uint8) for _ in range(12)]
    assert measure(noise).untracked == 11
    one = _frames(np.zeros(6))
    other = [np.ascontiguousarray(frame[::-1]) for frame in one]
    assert measure([*one, *other]).untracked == 1
    with pytest.raises(ValueError, match="no frames of the two videos could be matched"):
        compare(noise[:6], noise[6:])


def test_videos_of_two_sizes_are_refused() -> None:
    one, wide = np.zeros((64, 80, 3), np.uint8), np.zeros((64, 160, 3), np.uint8)
    with pytest.raises(FrameError, match="the video has frames of 64x160, its reference has 64x80; compare"):
        compare([one], [wide])


def test_files_of_one_name_are_two_rows():
    paths = [Path("a/out.mp4"), Path("b/out.mp4"), Path("c/in.mp4")]
    assert cli._named(paths) == {str(paths[0]): paths[0], str(paths[1]): paths[1], "in.mp4": paths[2]}


def test_command_line(clips, tmp_path, capsys):
    plot = tmp_path / "p.png"
    assert cli.main([*map(str, clips), "--reference", str(clips[0]), "--plot", str(plot), "--frames", "8"]) == 0
    printed = capsys.readouterr().out
    assert "a.mp4" in printed and "b.mp4" in printed and "vibration" in printed
    assert cv2.imread(str(plot)).shape[2] == 3
    rows = {line.split("│")[1].strip(): line.split("│")[2:4] for line in printed.splitlines() if "│" in line}
    assert float(rows["jitter after / before"][0]) == 1
    assert float(rows["jitter after / before"][1]) < 0.3
    assert cli.main([str(tmp_path / "none.mp4")]) == 1
    assert "steady: " in capsys.readouterr().err
    assert cli.main([str(clips[0]), "--frames", "1"]) == 1
    assert capsys.readouterr().err == f"steady: {clips[0]}: stability needs at least two frames\n"
    with pytest.raises(SystemExit):
        cli.main([str(clips[0]), "--frames", "-3"])
    assert capsys.readouterr().err.startswith(
        "python -m mostnet.video.steady.cli: argument --frames: '-3' is not a whole number above 0; "
    )


def test_a_reference_of_another_length_is_refused(clips, tmp_path, capsys):
    short = write_with_av(tmp_path / "short.mp4", _frames(SHAKE[:5]))
    assert cli.main([str(short), "--reference", str(clips[0])]) == 1
    assert "short.mp4: the video has 5 frames, its reference 50" in capsys.readouterr().err


def test_an_enhanced_picture_with_a_large_crop_is_matched():
    """Feature tracks alone lose it: the crop of a quarter enlarges the picture by a third."""
    frame = cv2.resize(np.random.default_rng(2).integers(40, 210, (80, 106, 3), np.uint8), (640, 480))
    after = cv2.warpAffine(frame, np.array([[1 / 0.75, 0, -150.0], [0, 1 / 0.75, -30.0]]), (640, 480))
    noise = np.random.default_rng(1).normal(0, 6, after.shape)
    after = np.clip(1.2 * cv2.GaussianBlur(after, (0, 0), 1.2) + noise, 0, 255).astype(np.uint8)
    found = compare([frame], [after])
    assert found.unmatched == 0
    assert found.cropping == pytest.approx(0.75, abs=0.01)
    assert found.distortion > 0.99
