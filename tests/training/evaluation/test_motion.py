"""The motion of the teeth from flow, on known motions."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.training.evaluation.motion import MIN_POINTS, fit_motion, tooth_motion
from mostnet.video.steady.similarity import Points, Similarity, centre_of

SIZE = (60, 80)
TURNED = Similarity(1.02 * np.exp(0.03j), 3 - 2j)


def displacement(similarity: Similarity, points: Points) -> Points:
    return similarity.a * points + similarity.b - points


def flow_of(similarity: Similarity) -> np.ndarray:
    """Flow ``(2, H, W)`` of a plane that moves by ``similarity``."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    moved = displacement(similarity, x + 1j * y - centre_of(SIZE))
    return np.stack([moved.real, moved.imag]).astype(np.float32)


@pytest.fixture
def teeth() -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[10:40, 20:60] = 255
    return mask


def test_similarity_is_found_in_spite_of_outliers() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 300, 2000) + 1j * rng.uniform(0, 300, 2000)
    motion = displacement(TURNED, points) + rng.normal(0, 0.1, 2000) + 1j * rng.normal(0, 0.1, 2000)
    motion[:500] += 25 + 40j
    fitted = fit_motion(points, motion)
    assert np.abs(displacement(fitted, points) - displacement(TURNED, points)).max() < 0.1
    assert abs(fitted.a - TURNED.a) < 5e-4


def test_similarity_is_least_squares_where_nothing_is_off() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 100, 100) + 1j * rng.uniform(0, 100, 100)
    np.testing.assert_allclose(fit_motion(points, displacement(TURNED, points)), TURNED, atol=1e-9)


def test_similarity_of_one_place_is_a_shift() -> None:
    points = np.full(60, 7 + 7j)
    fitted = fit_motion(points, np.full(60, 1 + 2j))
    np.testing.assert_allclose(displacement(fitted, points), 1 + 2j)


def test_true_flow_has_no_motion_error(teeth: np.ndarray) -> None:
    flow = flow_of(TURNED)
    found = tooth_motion(flow, flow, np.ones(SIZE, bool), teeth)
    assert found.error_px == pytest.approx(0, abs=1e-6)
    assert found.dot == pytest.approx(found.square)


def test_motion_is_of_the_teeth_alone(teeth: np.ndarray) -> None:
    reference, valid = flow_of(TURNED), np.ones(SIZE, bool)
    flow = reference + np.where(teeth, 0, 50).astype(np.float32)
    assert tooth_motion(flow, reference, valid, teeth).error_px == pytest.approx(0, abs=1e-6)
    flow = reference + np.where(teeth, 0.5, 0).astype(np.float32)
    assert tooth_motion(flow, reference, valid, teeth).error_px == pytest.approx(np.hypot(0.5, 0.5), abs=1e-3)


def test_no_flow_has_the_displacement_itself_as_error(teeth: np.ndarray) -> None:
    reference = flow_of(TURNED)
    found = tooth_motion(np.zeros_like(reference), reference, np.ones(SIZE, bool), teeth)
    assert found.error_px == pytest.approx(np.hypot(*reference[:, teeth > 0]).mean(), abs=1e-3)
    assert found.dot == 0


def test_slope_of_flow_that_is_too_short(teeth: np.ndarray) -> None:
    reference = flow_of(TURNED)
    found = tooth_motion(reference * np.float32(0.8), reference, np.ones(SIZE, bool), teeth)
    assert found.dot / found.square == pytest.approx(0.8, abs=1e-4)


def test_invalid_labels_do_not_count(teeth: np.ndarray) -> None:
    reference, valid = flow_of(TURNED), np.ones(SIZE, bool)
    flow = reference.copy()
    reference[:, 10:25, 20:60], valid[10:25, 20:60] = np.nan, False
    assert tooth_motion(flow, reference, valid, teeth).error_px == pytest.approx(0, abs=1e-6)


def test_too_few_tooth_pixels_say_nothing() -> None:
    flow, valid, mask = flow_of(TURNED), np.ones(SIZE, bool), np.zeros(SIZE, np.uint8)
    mask[5, : MIN_POINTS - 1] = 255
    assert tooth_motion(flow, flow, valid, mask) is None
    mask[5, MIN_POINTS - 1] = 255
    assert tooth_motion(flow, flow, valid, mask) is not None
