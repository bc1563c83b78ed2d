from __future__ import annotations

import numpy as np
import pytest

from mostnet.training.synth.camera_path import random_path, straight_path

HAND, SHAKE = np.array([20.0, 15.0, 0.04, 0.05]), np.array([4.0, 5.0, 0.004, 0.006])


def test_mean_over_an_exposure_is_the_mean_of_the_poses_in_it() -> None:
    path = random_path(np.random.default_rng(3), hand=HAND, vibration=SHAKE)
    moment_s, exposure_s = np.array([0.3, 1.7]), 0.02
    inside = moment_s[:, None] + ((np.arange(4000) + 0.5) / 4000 - 0.5) * exposure_s
    np.testing.assert_allclose(path.mean(moment_s, exposure_s), path.mean(inside, 0.0).mean(axis=-1), atol=1e-4)


def test_deviations_are_as_requested_and_vibration_stays_in_its_band() -> None:
    path = random_path(np.random.default_rng(4), hand=HAND, vibration=SHAKE)
    fast = path.frequency_hz > 10
    assert path.frequency_hz[~fast].max() < 2
    assert path.frequency_hz[fast].min() > 25 and path.frequency_hz[fast].max() < 125
    for chosen, deviation in ((fast, SHAKE), (~fast, HAND)):
        power = (path.amplitude[:, chosen] ** 2).sum(axis=1) / 2
        np.testing.assert_allclose(np.sqrt(power), deviation)


def test_speed_matches_the_sampled_path() -> None:
    path = random_path(np.random.default_rng(5), hand=HAND, vibration=SHAKE)
    time_s = np.arange(400_000) * 1e-4
    measured = np.gradient(path.mean(time_s, 0.0), 1e-4, axis=1).std(axis=1)
    np.testing.assert_allclose(path.speed(0.0), measured, rtol=0.03)


def test_straight_path_moves_at_its_velocity() -> None:
    pose = straight_path((75.0, -50.0)).mean(np.array([0.0, 2.0]), 0.01)
    assert pose[:, 1].tolist() == pytest.approx([150, -100, 0, 0])
    assert pose[:, 0].tolist() == [0, 0, 0, 0]
