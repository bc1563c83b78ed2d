"""The metrics against scikit-image, and on cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from mostnet.contract import FrameError
from mostnet.contract.metrics import FlowError, Overlap, end_point_error_px, flow_error, overlap, psnr_db


@pytest.mark.parametrize("sigma", [1, 10, 60])
def test_psnr_is_that_of_scikit_image(sigma: float) -> None:
    rng = np.random.default_rng(9)
    reference = rng.integers(0, 256, (61, 83, 3), np.uint8)
    degraded = np.clip(reference + rng.normal(4, sigma, reference.shape), 0, 255).astype(np.uint8)
    assert psnr_db(degraded, reference) == pytest.approx(peak_signal_noise_ratio(reference, degraded), abs=1e-4)


def test_psnr_of_constant_and_of_equal_pictures() -> None:
    dark, light = np.full((20, 20, 3), 100, np.uint8), np.full((20, 20, 3), 110, np.uint8)
    assert psnr_db(dark, light) == pytest.approx(20 * math.log10(255 / 10))
    assert psnr_db(dark, dark.copy()) == math.inf


def test_differences_do_not_wrap_around() -> None:
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    assert psnr_db(black, white) == psnr_db(white, black) == 0


@pytest.mark.parametrize(
    "other", [np.zeros((61, 83, 3), np.float32), np.zeros((61, 82, 3), np.uint8), np.zeros((61, 83), np.uint8)]
)
def test_other_pictures_are_refused(other: np.ndarray) -> None:
    with pytest.raises(FrameError, match=r"expected two uint8 \(H, W, 3\) pictures"):
        psnr_db(np.zeros((61, 83, 3), np.uint8), other)


def test_end_point_error_is_the_mean_distance_and_keeps_a_nan() -> None:
    flow = np.zeros((2, 4, 4), np.float32)
    moved = flow + np.array([3, 4], np.float32)[:, None, None]
    assert end_point_error_px(moved, flow) == pytest.approx(5)
    moved[0, 0, 0] = np.nan
    assert math.isnan(end_point_error_px(moved, flow))


def test_flow_error_counts_valid_pixels_only() -> None:
    flow, reference = np.zeros((2, 4, 5), np.float32), np.zeros((2, 4, 5), np.float32)
    reference[:, 0, 0] = 3, 4
    reference[:, 3, 4] = 300, 400
    reference[:, 2, 2] = np.nan
    valid = np.ones((4, 5), bool)
    valid[3, 4] = valid[2, 2] = False
    assert flow_error(flow, reference, valid) == FlowError(5.0, 18)
    assert flow_error(flow, reference, np.zeros((4, 5), bool)) == FlowError(0.0, 0)


def test_flow_that_is_not_finite_is_refused() -> None:
    good, bad, valid = np.zeros((2, 4, 5), np.float32), np.zeros((2, 4, 5), np.float32), np.ones((4, 5), bool)
    bad[0, 1, 1], bad[1, 2, 2] = np.nan, np.inf
    with pytest.raises(FrameError, match="predicted flow is NaN or infinite at 2 valid pixels"):
        flow_error(bad, good, valid)
    with pytest.raises(FrameError, match="flow label is NaN or infinite at 2 valid pixels"):
        flow_error(good, bad, valid)


def test_flow_of_another_shape_is_refused() -> None:
    with pytest.raises(FrameError, match=r"do not fit; expected \(2, H, W\)"):
        flow_error(np.zeros((2, 4, 5), np.float32), np.zeros((4, 5, 2), np.float32), np.ones((4, 5), bool))
    with pytest.raises(FrameError, match="validity uint8"):
        flow_error(np.zeros((2, 4, 5), np.float32), np.zeros((2, 4, 5), np.float32), np.ones((4, 5), np.uint8))


def test_overlap_of_hand_made_masks() -> None:
    left, top = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    left[:, :2], top[:2] = 255, 128
    left[3, 3] = 127  # under the threshold
    assert overlap(left, top) == Overlap(4, 12)
    assert overlap(left, top).iou == pytest.approx(1 / 3)
    assert overlap(left, left).iou == 1


def test_overlap_of_empty_masks() -> None:
    empty, full = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    assert overlap(empty, empty).iou == 1
    assert overlap(full, empty).iou == 0


def test_other_masks_are_refused() -> None:
    with pytest.raises(FrameError, match=r"masks are bool \(4, 4\)"):
        overlap(np.ones((4, 4), bool), np.ones((4, 4), np.uint8))
