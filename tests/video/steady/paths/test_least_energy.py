"""Vibration that the path filter stops, and motion that it passes."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.video.steady.paths.least_energy import LAG, TAPS, PathFilter, default_lag, kernel
from mostnet.video.steady.similarity import Similarity


def _gain(weights: np.ndarray, lookahead: int, frequency: float) -> float:
    offsets = lookahead - np.arange(len(weights))
    return float(abs(weights @ np.exp(2j * np.pi * frequency * offsets)))


@pytest.mark.parametrize(("lookahead", "most"), [(0, 0.05), (5, 0.04)])
def test_vibration_is_stopped_and_stillness_passes(lookahead, most):
    weights = kernel(TAPS + lookahead, lookahead, default_lag(lookahead))
    assert weights.sum() == pytest.approx(1)
    assert max(_gain(weights, lookahead, frequency) for frequency in np.linspace(0.15, 0.5, 100)) < most


@pytest.mark.parametrize(("lookahead", "lag"), [(0, LAG), (0, 0.0), (5, 0.0), (3, 1.5)])
def test_the_lag_is_the_chosen_one(lookahead, lag):
    weights = kernel(TAPS + lookahead, lookahead, lag)
    ramp = lookahead - np.arange(len(weights), dtype=float)
    assert weights @ ramp == pytest.approx(-lag)


def _run(path: np.ndarray, *, lookahead: int = 0, room_px: float = 1e9) -> np.ndarray:
    """Shown positions of a camera whose x positions are ``path``, without the last ``lookahead``."""
    found, poses = [], []
    smooth = PathFilter(lookahead=lookahead)
    for k, x in enumerate(path):
        smooth.push(Similarity(1 + 0j, complex(x - path[k - 1] if k else 0)))
        poses.append(x)
        if k >= lookahead:
            found.append(poses[k - lookahead] + smooth.view(lookahead, room_px).b.real)
    return np.array(found)


@pytest.mark.parametrize("lookahead", [0, 5])
def test_a_pan_is_followed_with_its_lag(lookahead):
    path = 4.0 * np.arange(80)
    shown = _run(path, lookahead=lookahead)
    lag = (path[: len(shown)] - shown)[40:] / 4
    assert lag == pytest.approx(default_lag(lookahead), abs=1e-6)


def test_a_fast_pan_is_followed_more_closely_where_the_crop_is_small():
    path = 12.0 * np.arange(80)
    assert (path - _run(path, room_px=6.0))[40:] == pytest.approx(6.0, abs=1e-6)


def test_a_pan_s_room_does_not_let_vibration_through():
    frame = np.arange(200)
    shake = 4 * np.sin(2 * np.pi * 0.29 * frame)
    left = _run(12.0 * frame + shake, room_px=6.0)[40:] - 12.0 * frame[40:]
    assert np.std(left) < 0.1 * np.std(shake)


def test_poses_turn_and_zoom_with_the_camera():
    """A point at rest, off the centre of a camera that rolls and zooms steadily."""
    smooth = PathFilter()
    world_to_frame = Similarity()
    for _ in range(60):
        step = Similarity(np.exp(0.002 + 0.01j).item(), 3 - 2j)
        world_to_frame = world_to_frame.then(step.inverse())
        smooth.push(step)
    view = smooth.view(0, 1e9)
    assert np.log(view.a).imag == pytest.approx(-0.01 * LAG, abs=1e-6)
    assert np.log(view.a).real == pytest.approx(-0.002 * LAG, abs=1e-6)


def test_a_roll_by_more_than_half_a_turn_within_the_window_does_not_wrap():
    smooth = PathFilter(lookahead=30)
    for _ in range(100):
        smooth.push(Similarity(np.exp(0.15j).item()))
    assert abs(smooth.view(30, 1e9).angle) < 1e-9


def test_memory_does_not_grow_and_numbers_stay_exact_over_hours():
    smooth = PathFilter(lookahead=2)
    step = Similarity(1.0005 + 0j, 1.5 + 0j)
    for _ in range(20_000):  # a zoom of e to the 10
        smooth.push(step)
    assert smooth.frames == TAPS + 4
    once = smooth.view(2, 1e9)
    smooth.push(step)
    assert smooth.view(2, 1e9) == pytest.approx(once, abs=1e-9)


def test_too_short_a_kernel_is_refused():
    with pytest.raises(ValueError, match="a kernel of 2 taps cannot keep position and lag; expected at least 3"):
        kernel(2, 0, 0.0)
