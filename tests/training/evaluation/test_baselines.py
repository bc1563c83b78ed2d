"""The rows without a network: no method, the best colours, and optical flow by OpenCV."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.contract import FrameError
from mostnet.contract.metrics import psnr_db
from mostnet.training.data.dataset import LabelledFrame
from mostnet.training.evaluation.baselines import best_colours, dis_flow, no_method, oracle_colour
from mostnet.training.evaluation.scores import score_frame
from tests.training.moving_scenes import moving_clip


def test_no_method_is_the_frame_no_flow_and_all_teeth() -> None:
    frame = np.full((20, 30, 3), 90, np.uint8)
    mask = np.zeros((20, 30), np.uint8)
    mask[:5] = 255
    output = no_method(frame)
    assert output.enhanced is frame and not output.flow.any()
    assert score_frame(output, LabelledFrame(frame, mask=mask)).overlap.iou == 0.25


def test_best_colours_are_the_least_squares_of_each_channel() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (30, 40, 3), np.uint8)
    tinted = picture * np.array([0.6, 1.3, 0.9]) + np.array([40, -20, 10]) + rng.normal(0, 25, picture.shape)
    reference = np.clip(tinted, 0, 255).astype(np.uint8)
    wanted = np.empty_like(picture)
    for channel in range(3):
        x, y = picture[..., channel].ravel().astype(float), reference[..., channel].ravel().astype(float)
        (gain, offset), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)
        wanted[..., channel] = np.clip(np.rint(gain * x + offset), 0, 255).reshape(30, 40)
    found = best_colours(picture, reference)
    assert np.count_nonzero(found != wanted) < 10  # where the two round a half apart
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert psnr_db(found, reference) > psnr_db(picture, reference) + 1


def test_oracle_colour_undoes_an_affine_map_of_each_channel() -> None:
    reference = np.random.default_rng(0).integers(60, 200, (40, 50, 3), np.uint8)
    frame = np.rint(reference * np.array([0.5, 0.9, 0.7]) + np.array([60, 10, 0])).astype(np.uint8)
    restored = oracle_colour(frame, reference)
    assert np.abs(restored.enhanced.astype(int) - reference).max() <= 2
    assert restored.names == ("enhanced",)


def test_best_colours_of_a_constant_channel_are_its_mean_and_of_equal_pictures_the_same() -> None:
    reference = np.full((8, 8, 3), 40, np.uint8)
    reference[:4] = 60
    assert (best_colours(np.zeros((8, 8, 3), np.uint8), reference) == 50).all()
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    assert (best_colours(noise, noise) == noise).all()


def test_best_colours_need_pictures_of_one_size() -> None:
    with pytest.raises(FrameError, match="two uint8 \\(H, W, 3\\) pictures of one size"):
        best_colours(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8))


def test_dis_finds_the_backward_flow() -> None:
    clip = moving_clip(2, size_hw=(96, 128), step_px=(3.0, -2.0))
    output = dis_flow(clip.input[1], clip.input[0])
    assert output.names == ("flow",)
    assert output.flow.shape == (2, 96, 128) and output.flow.dtype == np.float32
    labels = LabelledFrame(clip.input[1], flow=clip.flow[1], valid=clip.valid[1])
    error = score_frame(output, labels).flow
    assert error.sum_px / error.pixels < 0.3
    np.testing.assert_allclose(np.median(output.flow, axis=(1, 2)), clip.flow[1, :, 0, 0], atol=0.1)


def test_dis_sees_no_motion_in_a_plain_picture_of_the_smallest_size() -> None:
    frame = np.full((64, 64, 3), 90, np.uint8)
    assert not dis_flow(frame, frame).flow.any()
