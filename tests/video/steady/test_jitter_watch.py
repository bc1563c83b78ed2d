"""The check on the pictures finds a correction that does harm, and leaves a good one alone."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from mostnet.video.steady.jitter_watch import FADE_IN, FADE_OUT, SMALL_HW, JitterWatch, small_picture
from mostnet.video.steady.similarity import Similarity, centre_of

SIZE_HW = (240, 320)
COUNT = 120
_RNG = np.random.default_rng(4)
_PLANE = cv2.GaussianBlur(_RNG.integers(0, 255, (480, 640), np.uint8), (0, 0), 3)
_PLANE = cv2.normalize(_PLANE, None, 20, 235, cv2.NORM_MINMAX)
ZOOM = Similarity(0.9 + 0j)
FRAME = np.arange(COUNT)
#: A hand at 0.08 and 0.13 cycles per frame.
HAND = 5 * np.sin(2 * np.pi * 0.08 * FRAME) + 4j * np.sin(2 * np.pi * 0.13 * FRAME + 1)


def _pictures(path: np.ndarray, *, noise: float = 2.0) -> list[np.ndarray]:
    """What a camera at each place of the path sees, with noise."""
    rng = np.random.default_rng(0)
    start = centre_of((480, 640)) - centre_of(SIZE_HW)
    pictures = []
    for place in path + start:
        matrix = np.array([[1, 0, place.real], [0, 1, place.imag]])
        seen = cv2.warpAffine(_PLANE, matrix, SIZE_HW[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        pictures.append(np.clip(seen + rng.normal(0, noise, SIZE_HW), 0, 255).astype(np.uint8))
    return pictures


def _views(shifts: np.ndarray) -> list[Similarity]:
    return [ZOOM.then(Similarity(1 + 0j, complex(shift))) for shift in shifts]


def _gains(pictures: Sequence[np.ndarray], views: Sequence[Similarity]) -> np.ndarray:
    watch = JitterWatch(SIZE_HW)
    return np.array([watch.update(small_picture(one), view) for one, view in zip(pictures, views, strict=True)])


def test_a_good_correction_is_left_alone() -> None:
    assert _gains(_pictures(HAND), _views(-HAND)).min() == 1


def test_both_jitters_are_measured() -> None:
    watch = JitterWatch(SIZE_HW)
    assert np.isnan(watch.before_px)
    for picture, view in zip(_pictures(HAND), _views(-0.5 * HAND), strict=True):
        watch.update(small_picture(picture), view)
    assert watch.before_px == pytest.approx(np.sqrt((25 + 16) / 2), rel=0.1)
    assert watch.after_px == pytest.approx(0.5 * watch.before_px, rel=0.1)


@pytest.mark.parametrize(("wrong", "least", "most"), [(HAND, 0, 0.02), (1j * HAND, 0, 0.25), (-2.4 * HAND, 0.3, 0.5)])
def test_a_harmful_correction_fades_to_the_best_share(wrong: np.ndarray, least: float, most: float) -> None:
    """The wrong sign, the wrong axis, and more than twice too far."""
    gains = _gains(_pictures(HAND), _views(wrong))
    assert least <= gains[-30:].min() and gains[-30:].max() <= most
    assert gains[:16].min() == 1  # no verdict without a window


def test_the_gain_never_jumps_and_comes_back() -> None:
    wrong = np.where(FRAME < 50, HAND, -HAND)
    gains = _gains(_pictures(HAND), _views(wrong))
    assert gains.min() < 0.1
    assert gains[-1] > 0.5
    steps = np.diff(gains)
    assert steps.min() >= -FADE_OUT - 1e-9 and steps.max() <= FADE_IN + 1e-9
    assert (np.diff(np.sign(steps[steps != 0])) != 0).sum() == 1  # out once, in once


def test_jitter_without_a_cause_is_harmful() -> None:
    jitter = 3 * np.random.default_rng(1).normal(size=(COUNT, 2)) @ [1, 1j]
    assert _gains(_pictures(np.zeros(COUNT)), _views(jitter))[-1] < 0.1


def test_stillness_noise_and_pans_are_no_harm() -> None:
    still, none = _pictures(np.zeros(COUNT), noise=15), _views(np.zeros(COUNT))
    assert _gains(still, none).min() == 1
    rng = np.random.default_rng(2)
    snow = [rng.integers(0, 255, SIZE_HW, np.uint8) for _ in range(COUNT)]
    assert _gains(snow, _views(-HAND)).min() == 1
    assert _gains([np.full(SIZE_HW, 90, np.uint8)] * COUNT, _views(-HAND)).min() == 1
    pan = np.cumsum(3 * np.clip((FRAME - 30) / 10, 0, 1)) - 100
    lag = np.concatenate([np.full(3, pan[0]), pan[:-3]])
    assert _gains(_pictures(pan), _views(lag - pan)).min() == 1


@pytest.mark.parametrize("late", [8, 16, 24])
@pytest.mark.parametrize("speed", [1.0, 3.0])
def test_a_view_that_is_late_in_a_pan_is_no_harm(speed: float, late: int) -> None:
    pan = speed * np.clip(FRAME - 30, 0, 50) - 60
    shown = np.concatenate([np.full(late, pan[0]), pan[:-late]])
    assert _gains(_pictures(pan), _views(shown - pan)).min() == 1


def test_a_cut_is_no_step() -> None:
    pictures = _pictures(HAND)
    other = [np.ascontiguousarray(one[::-1, ::-1]) for one in pictures]
    cuts = [*pictures[:40], *other[40:80], *pictures[80:]]
    assert _gains(cuts, _views(-np.where((FRAME >= 40) & (FRAME < 80), -HAND, HAND))).min() == 1


def test_reset_starts_anew() -> None:
    watch = JitterWatch(SIZE_HW)
    for picture, view in zip(_pictures(HAND), _views(HAND), strict=True):
        watch.update(small_picture(picture), view)
    assert watch.gain < 0.1
    watch.reset()
    assert watch.gain == 1 and np.isnan(watch.after_px)
    assert watch.update(small_picture(_pictures(HAND[:1])[0]), Similarity()) == 1


def test_the_small_picture() -> None:
    grey = _pictures(HAND[:1])[0]
    assert small_picture(grey).shape == SMALL_HW
    assert np.array_equal(small_picture(grey), small_picture(np.dstack([grey] * 3)))
