"""The shade of the teeth over many frames, against all pixels at once."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.contract import FrameError
from mostnet.training.evaluation.ciede2000 import ciede2000, lab_of_bgr
from mostnet.training.evaluation.shade import ShadeErrors, mean_de00, percentile_de00, tooth_shade


def frame_of(seed: int, *, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture, its reference, and a mask of uneven size."""
    rng = np.random.default_rng(seed)
    reference = rng.integers(0, 256, (30, 40, 3), np.uint8)
    picture = np.clip(reference + rng.normal(0, noise, reference.shape), 0, 255).astype(np.uint8)
    mask = np.where(rng.random((30, 40)) < 0.1 + 0.2 * seed, 200, 100).astype(np.uint8)
    return picture, reference, mask


def test_mean_and_percentile_are_those_of_all_tooth_pixels_together() -> None:
    frames = [frame_of(seed, noise=noise) for seed, noise in enumerate((2.0, 20.0, 60.0))]
    errors = np.concatenate([ciede2000(lab_of_bgr(p[m >= 128]), lab_of_bgr(r[m >= 128])) for p, r, m in frames])
    shades = [tooth_shade(*frame) for frame in frames]
    assert [shade.pixels for shade in shades] == [np.count_nonzero(m >= 128) for _, _, m in frames]
    assert mean_de00(shades) == pytest.approx(errors.mean(dtype=np.float64), rel=1e-9)
    for percent in (5, 50, 95, 100):
        exact = np.percentile(errors, percent, method="inverted_cdf")
        assert percentile_de00(shades, percent) == pytest.approx(exact, abs=0.00501)


def test_only_teeth_of_the_mask_count() -> None:
    reference = np.full((20, 20, 3), 180, np.uint8)
    picture, mask = reference.copy(), np.zeros((20, 20), np.uint8)
    mask[:10], picture[10:] = 255, 0
    shade = tooth_shade(picture, reference, mask)
    assert shade.sum_de00 == 0 and shade.pixels == 200
    assert percentile_de00([shade], 95) == 0


def test_no_teeth_no_shade() -> None:
    picture, reference, mask = frame_of(0, noise=3)
    assert tooth_shade(picture, reference, np.zeros_like(mask)) is None
    assert mean_de00([]) is None and percentile_de00([], 95) is None


def test_a_frame_takes_kilobytes_and_compares_by_value() -> None:
    picture, reference, mask = frame_of(1, noise=60)
    shade = tooth_shade(picture, reference, mask)
    assert shade == tooth_shade(picture, reference, mask)
    assert shade != ShadeErrors(shade.sum_de00, shade.counts[:-1])
    assert len(shade.counts) * shade.counts.itemsize < 50_000


def test_a_mask_of_another_size_is_refused() -> None:
    picture, reference, mask = frame_of(0, noise=3)
    with pytest.raises(FrameError, match=r"mask is \(29, 40\), expected \(30, 40\) like the pictures"):
        tooth_shade(picture, reference, mask[1:])
