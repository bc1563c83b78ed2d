"""Histograms that grow, and the thresholds of the methods."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.calibration import METHODS, Histogram
from mostnet.calibration.histogram import LEVELS


def of(*parts: np.ndarray) -> Histogram:
    histogram = Histogram.empty()
    for part in parts:
        histogram.add(part.astype(np.float32))
    return histogram


def quantised_error(values: np.ndarray, threshold: float) -> float:
    """Mean squared error of symmetric INT8, computed on the values themselves."""
    step = threshold / LEVELS
    return float(np.mean((np.clip(np.round(values / step), -LEVELS, LEVELS) * step - values) ** 2))


def test_growing_loses_no_count() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(0, scale, 5000) for scale in (0.1, 1, 30)]
    histogram = of(*parts)
    everything = np.abs(np.concatenate(parts)).astype(np.float32)
    assert histogram.counts.sum() == everything.size
    assert histogram.largest == pytest.approx(everything.max())
    half = histogram.limit / 2
    share = histogram.counts[1024:].sum() / everything.size
    assert share == pytest.approx(np.mean(everything >= half), abs=1e-3)


def test_minmax_is_the_largest_magnitude() -> None:
    assert of(np.array([0.5, -3.0]), np.array([2.0])).threshold("minmax") == 3.0


def test_percentile_drops_one_in_ten_thousand() -> None:
    values = np.linspace(0, 1, 1_000_000)
    assert of(values).threshold("percentile") == pytest.approx(0.9999, abs=1e-3)
    values[-5:] = 100
    assert of(values).threshold("percentile") < 1.2


@pytest.mark.parametrize("method", ["mse", "entropy"])
def test_searched_thresholds_clip_outliers(method: str) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate((rng.normal(0, 1, 200_000), [40.0]))
    assert 2.5 < of(values).threshold(method) < 25, "at 20, clipping and rounding cost the same"


def test_mse_is_near_the_best_of_all_thresholds() -> None:
    values = np.random.default_rng(1).laplace(0, 1, 100_000).astype(np.float32)
    found = quantised_error(values, of(values).threshold("mse"))
    best = min(quantised_error(values, t) for t in np.linspace(1, np.abs(values).max(), 200))
    assert found < 1.05 * best
    assert found < 0.9 * quantised_error(values, np.abs(values).max())


@pytest.mark.parametrize("method", METHODS)
def test_never_beyond_the_largest_and_zero_for_zeros(method: str) -> None:
    assert of(np.zeros(10)).threshold(method) == 0.0
    values = np.random.default_rng(2).uniform(0, 1, 10_000)
    assert 0.9 < of(values).threshold(method) <= np.float32(values.max())


def test_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        of(np.array([1.0, np.nan]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_values_far_from_zero_are_not_clipped_away(method: str, spread: float) -> None:
    values = np.random.default_rng(0).normal(1, spread, 50_000)
    assert of(values, np.zeros(100)).threshold(method) > 0.95
