"""SSIM against scikit-image, and on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from mostnet.contract import FrameError
from mostnet.training.evaluation.ssim import ssim


def picture(seed: int, size_hw: tuple[int, int] = (61, 83)) -> np.ndarray:
    """Smooth colours with noise on them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    smooth = 128 + 90 * np.sin(x[..., None] / rng.uniform(5, 20, 3) + y[..., None] / rng.uniform(5, 20, 3))
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [1, 10, 60])
@pytest.mark.parametrize("seed", [0, 1])
def test_ssim_matches_scikit_image(seed: int, sigma: float) -> None:
    reference = picture(seed)
    noise = np.random.default_rng(9).normal(4, sigma, reference.shape)
    degraded = np.clip(reference + noise, 0, 255).astype(np.uint8)
    independent = structural_similarity(
        degraded,
        reference,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=-1,
    )
    assert ssim(degraded, reference).inside == pytest.approx(independent, abs=1e-6)


def test_equal_and_constant_pictures() -> None:
    reference = picture(3)
    assert ssim(reference, reference.copy()) == pytest.approx((1.0, 1.0), abs=1e-12)
    dark, light = np.full((20, 20, 3), 100, np.uint8), np.full((20, 20, 3), 110, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(dark, light).inside == pytest.approx((2 * 100 * 110 + c1) / (100**2 + 110**2 + c1))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.zeros((61, 82, 3), np.uint8), r"expected two uint8 \(H, W, 3\) pictures"),
        (np.zeros((10, 40, 3), np.uint8), "at least 11 on each side"),
    ],
)
def test_other_sizes_are_refused(other: np.ndarray, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        ssim(np.zeros((10, 40, 3), np.uint8), other)
