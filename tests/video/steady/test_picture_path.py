"""Jitter of whole pictures by phase correlation, on pictures with known shifts."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from mostnet.contract import FrameError
from mostnet.video.steady.phase import PhaseCorrelator
from mostnet.video.steady.picture_path import jitter_ratio, picture_steps

SIZE_HW = (240, 320)
COUNT = 60
_RNG = np.random.default_rng(0)
_PLANE = cv2.GaussianBlur(_RNG.integers(0, 255, (480, 640, 3), np.uint8), (0, 0), 2.5)
SHAKE = 4 * np.sin(2 * np.pi * 0.11 * np.arange(COUNT)) + 3j * np.sin(2 * np.pi * 0.3 * np.arange(COUNT))
#: RMS of the length of ``SHAKE``: the 27-frame average takes nothing of it away.
SHAKE_RMS = np.sqrt((16 + 9) / 2)


def _video(path: np.ndarray, *, turn_deg: float = 0.0, plane: np.ndarray = _PLANE) -> list[np.ndarray]:
    """Pictures of a plane whose content is at each place of the path, and turns steadily."""
    frames = []
    for index, place in enumerate(path):
        matrix = cv2.getRotationMatrix2D((319.5, 239.5), turn_deg * index, 1)
        matrix[:, 2] += (place.real - 160, place.imag - 120)
        frames.append(cv2.warpAffine(plane, matrix, SIZE_HW[::-1], flags=cv2.INTER_CUBIC))
    return frames


def _bare() -> np.ndarray:
    """A white plane with stains of two levels."""
    stains = cv2.GaussianBlur(np.random.default_rng(3).normal(size=(480, 640)).astype(np.float32), (0, 0), 8)
    return np.dstack([225 + 2 * stains / stains.std()] * 3).astype(np.uint8)


@pytest.mark.parametrize("shift", [0j, 0.3 - 0.4j, 5.25 + 2.5j, -41.5 + 30.25j])
def test_a_shift_is_found_far_below_a_pixel(shift: complex) -> None:
    steps = picture_steps(_video(np.array([0, shift])))
    assert steps.known.all()
    assert abs(steps.shifts[0] - shift) < 0.02 + 0.002 * abs(shift)


def test_the_size_of_the_picture_does_not_matter() -> None:
    large = [cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for frame in _video(SHAKE[:2])]
    assert picture_steps(large).shifts == pytest.approx(2 * np.diff(SHAKE[:2]), abs=0.1)


@pytest.mark.parametrize("turn_deg", [0.0, 0.5])
def test_jitter_and_its_ratio(turn_deg: float) -> None:
    before, after = (picture_steps(_video(gain * SHAKE, turn_deg=turn_deg)) for gain in (1, 0.2))
    assert before.jitter_px == pytest.approx(SHAKE_RMS, rel=0.05)
    assert before.unknown == 0
    assert jitter_ratio(before, after) == pytest.approx(0.2, rel=0.1)


def test_a_bare_surface_is_measured() -> None:
    noisy = [
        np.clip(frame + np.random.default_rng(index).normal(0, 1.5, frame.shape), 0, 255).astype(np.uint8)
        for index, frame in enumerate(_video(SHAKE, plane=_bare()))
    ]
    assert picture_steps(noisy).jitter_px == pytest.approx(SHAKE_RMS, rel=0.1)


def test_a_slow_pan_is_no_jitter() -> None:
    assert picture_steps(_video(1.5 * np.arange(COUNT) + 0j)).jitter_px < 0.1


def test_a_still_picture_has_no_jitter_and_no_ratio() -> None:
    still = picture_steps([_PLANE] * 30)
    assert still.jitter_px < 1e-6 and still.unknown == 0
    assert np.isnan(jitter_ratio(picture_steps([np.zeros_like(_PLANE)] * 30), still))


def test_noise_cuts_and_flat_pictures_are_unknown() -> None:
    snow = picture_steps([_RNG.integers(0, 255, (*SIZE_HW, 3), np.uint8) for _ in range(30)])
    assert snow.unknown == 29 and np.isnan(snow.jitter_px)
    assert picture_steps([np.full((*SIZE_HW, 3), level, np.uint8) for level in (0, 90, 90)]).unknown == 2
    cut = picture_steps([*_video(SHAKE[:30]), *(frame[::-1, ::-1] for frame in _video(SHAKE[30:]))])
    assert list(np.flatnonzero(~cut.known)) == [29]


def test_a_motion_that_leaves_nothing_in_common_is_unknown() -> None:
    assert picture_steps(_video(np.array([0, 150 - 110j]))).unknown == 1
    turned = cv2.warpAffine(_PLANE, cv2.getRotationMatrix2D((320, 240), 60, 1), (640, 480))
    assert picture_steps([_PLANE, turned]).unknown == 1


def test_a_cut_counts_in_neither_of_two_videos() -> None:
    """Without the step of the cut, both are still."""
    before = picture_steps([_PLANE] * 20 + [_PLANE[::-1, ::-1]] * 20)
    moving = _video(SHAKE[:20])
    assert jitter_ratio(picture_steps(moving + moving), picture_steps(moving + moving)) == pytest.approx(1)
    assert before.unknown == 1 and before.jitter_px < 1e-6


def test_a_fixed_pattern_locks_the_measure_at_zero() -> None:
    """A weakness to know of: a strong burnt-in text hides the motion of a faint picture."""
    frames = _video(SHAKE, plane=_bare())
    for frame in frames:
        cv2.putText(frame, "REC 00:01", (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 2, (0, 0, 0), 4)
    assert picture_steps(frames).jitter_px < 0.2 * SHAKE_RMS


def test_videos_of_two_sizes_or_lengths_are_refused() -> None:
    with pytest.raises(FrameError, match="a frame has 120x160 pixels, the first has 240x320"):
        picture_steps([_PLANE[:240, :320], _PLANE[:120, :160]])
    frames = _video(SHAKE[:4])
    with pytest.raises(FrameError, match="the video has 3 frames, its reference 4"):
        jitter_ratio(picture_steps(frames), picture_steps(frames[:3]))


def test_the_least_response_is_above_that_of_noise() -> None:
    for size_hw in ((96, 128), (240, 320)):
        correlator = PhaseCorrelator(size_hw)
        pictures = _RNG.integers(0, 255, (20, *size_hw), np.uint8)
        spectra = [correlator.spectrum(picture) for picture in pictures]
        assert all(correlator.shift(one, other) is None for one, other in pairwise(spectra))
        assert 0.01 < correlator.least_response < 0.2
