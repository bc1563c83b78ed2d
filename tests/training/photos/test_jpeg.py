"""JPEG on the device against OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mostnet.training.photos.jpeg import compress

from .drawn import array, drawn_photo


def picture(size_hw: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Detail of every size: a smooth texture, an edge and grain."""
    pixels = drawn_photo(0, size_hw=size_hw, sigma_px=4).pixels[..., :3].astype(float)
    pixels[:, size_hw[1] // 2 :] *= 0.6
    return np.clip(pixels + np.random.default_rng(0).normal(0, 4, pixels.shape), 0, 255).round().astype(np.uint8)


def in_torch(pixels: np.ndarray, quality: float) -> np.ndarray:
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    return array(compress(planes, torch.tensor([quality]))[0].permute(1, 2, 0))


def in_opencv(pixels: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(float)


@pytest.mark.parametrize("quality", [5, 20, 30, 49, 50, 75, 95, 100])
def test_pictures_are_close_to_those_of_opencv(quality: int) -> None:
    pixels = picture()
    found, expected = in_torch(pixels, quality), in_opencv(pixels, quality)
    loss = np.abs(expected - pixels).mean()
    assert np.abs(found - expected).mean() < max(1.2, 0.25 * loss), "OpenCV rounds more often on the way"
    assert np.abs(found - pixels).mean() == pytest.approx(loss, rel=0.1, abs=0.1)


@pytest.mark.parametrize("size_hw", [(64, 64), (65, 79), (71, 96)])
def test_any_size(size_hw: tuple[int, int]) -> None:
    pixels = picture(size_hw)
    found, expected = in_torch(pixels, 60), in_opencv(pixels, 60)
    assert found.shape == pixels.shape and np.abs(found - expected).mean() < 1.5


def test_each_picture_has_a_quality_of_its_own() -> None:
    pixels = picture()
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().expand(3, -1, -1, -1)
    found = compress(planes, torch.tensor([20.0, 60.0, 95.0]))
    for k, quality in enumerate((20, 60, 95)):
        np.testing.assert_array_equal(array(found[k].permute(1, 2, 0)), in_torch(pixels, quality))
    assert float(found.min()) >= 0 and float(found.max()) <= 255
    assert torch.equal(found, found.round())


def test_a_plain_picture_stays_as_it_is() -> None:
    plain = np.full((64, 64, 3), (40, 120, 200), np.uint8)
    assert np.abs(in_torch(plain, 90) - plain).max() <= 2
