"""The forecast of a hand's path."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.video.steady.paths.forecast import STEPS, forecast


def test_it_is_the_best_linear_forecast_of_its_model():
    """Against least squares on a long drawn path whose speed forgets itself by 0.85 a frame."""
    rng = np.random.default_rng(0)
    speed = np.zeros(200_000)
    kicks = rng.normal(0, np.sqrt(1 - 0.85**2), len(speed))
    for k in range(1, len(speed)):
        speed[k] = 0.85 * speed[k - 1] + kicks[k]
    seen = speed + rng.normal(0, np.sqrt(0.1), len(speed))
    ends = np.arange(STEPS, len(speed) - 10)
    read = np.stack([seen[ends - j] for j in range(STEPS)], axis=1)
    gone = np.stack([speed[ends + j] for j in range(1, 11)], axis=1).cumsum(axis=1)
    best = np.linalg.lstsq(read, gone, rcond=None)[0].T
    assert forecast(10) == pytest.approx(best, abs=0.06)


def test_a_still_camera_stays_and_a_moving_one_slows_down():
    assert forecast(5) @ np.zeros(STEPS) == pytest.approx(0)
    ahead = np.diff(forecast(20) @ np.ones(STEPS), prepend=0)
    assert 0.7 < ahead[0] < 1
    assert (np.diff(ahead) < 0).all()
    assert ahead[-1] < 0.1


def test_at_twice_the_frame_rate_the_speed_lasts_twice_as_many_frames():
    slow, fast = (np.diff(forecast(20, pace) @ np.ones(STEPS)) for pace in (1.0, 2.0))
    assert fast[1] / fast[0] == pytest.approx(np.sqrt(slow[1] / slow[0]))
