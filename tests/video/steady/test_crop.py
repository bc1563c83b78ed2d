"""The share of the frame that is cropped off."""

from __future__ import annotations

import pytest

from mostnet.video import StabiliserOptions
from mostnet.video.steady.crop import DECLINE, GROWTH, LIMITS, LIVE_GROWTH, MOST, CropControl


def _followed(use: float, frames: int, *, steady: str = "hand", fps: float = 25.0) -> float:
    crop = CropControl(StabiliserOptions(steady, fps=fps))
    for _ in range(frames):
        crop.follow(use)
    return crop.value


def test_a_given_crop_stays():
    crop = CropControl(StabiliserOptions(crop=0.13))
    crop.fit(lambda value: 1.0)
    for use in (1.0,) * 50 + (0.0,) * 500:
        crop.follow(use)
    assert crop.value == 0.13


@pytest.mark.parametrize("fps", [25.0, 60.0])
def test_it_grows_and_shrinks_by_its_rate_per_second(fps):
    start = LIMITS["vibration"].live
    assert _followed(0.95, round(fps), steady="vibration", fps=fps) == pytest.approx(start + LIVE_GROWTH)
    assert _followed(0.2, round(4 * fps), steady="vibration", fps=fps) == pytest.approx(start - 4 * DECLINE)
    assert _followed(0.7, round(4 * fps), steady="vibration", fps=fps) == start


def test_a_live_crop_of_a_camera_that_hardly_moves_shrinks_within_seconds():
    start = LIMITS["hand"].live
    assert _followed(0.0, 100) == LIMITS["hand"].least, "a zoom would magnify what moves in a still scene"
    assert _followed(0.2, 25) == pytest.approx(start - LIMITS["hand"].calm_decline / 2)
    assert _followed(0.5, 25) == pytest.approx(start - DECLINE)
    ahead = CropControl(StabiliserOptions(lookahead=30))
    ahead.value = start
    for _ in range(25):
        ahead.follow(0.0)
    assert ahead.value == pytest.approx(start - DECLINE), "with a look-ahead, the first crop fits already"


def test_with_a_look_ahead_the_crop_grows_more_slowly():
    crop = CropControl(StabiliserOptions(lookahead=30))
    start = crop.value
    for _ in range(25):
        crop.follow(0.9)
    assert crop.value == pytest.approx(start + GROWTH)


def test_a_live_crop_reaches_its_limit_soon_where_a_hand_shakes():
    assert _followed(0.9, 42) == pytest.approx(MOST)


def test_it_has_limits():
    assert _followed(1.0, 5000) == MOST
    assert _followed(0.0, 50_000) == LIMITS["hand"].least
    assert _followed(0.0, 50_000, steady="hold") == MOST, "a held tooth would move with the zoom"


def test_a_short_calm_does_not_shrink_it():
    crop = CropControl(StabiliserOptions())
    crop.follow(0.8)
    for _ in range(25):
        crop.follow(0.1)
    assert crop.value == LIMITS["hand"].live


@pytest.mark.parametrize(("need", "found"), [(0.005, 0.05), (0.05, 0.15), (0.066, 0.175), (0.3, MOST)])
def test_known_first_frames_choose_the_first_crop(need, found):
    crop = CropControl(StabiliserOptions(lookahead=30))
    crop.fit(lambda value: need / value)
    assert crop.value == pytest.approx(found)
    crop.fit(lambda value: 1.0)
    assert crop.value == pytest.approx(found), "only once"


def test_a_shown_picture_fixes_it_until_the_next_clip():
    crop = CropControl(StabiliserOptions(lookahead=30))
    crop.close()
    crop.fit(lambda value: 1.0)
    assert crop.value == LIMITS["hand"].live
    crop.restart()
    crop.fit(lambda value: 1.0)
    assert crop.value == MOST
