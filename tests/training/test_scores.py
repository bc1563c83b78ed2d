"""From frames to the figures of a split, and the rows that need no network."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mostnet.contract.metrics import FlowError, Overlap
from mostnet.training.dataset import LabelledFrame
from mostnet.training.evaluation.baselines import no_method, oracle_colour
from mostnet.training.evaluation.motion import ToothMotion
from mostnet.training.evaluation.scores import PSNR_CAP_DB, FrameScore, Scores, score_frame, summarise


def test_means_and_sums_of_frames() -> None:
    frames = [
        FrameScore(20.0, 0.5, None, Overlap(1, 2)),
        FrameScore(math.inf, 1.0, FlowError(10.0, 10), Overlap(30, 98), ToothMotion(0.5, 8.0, 10.0)),
        FrameScore(None, None, FlowError(180.0, 90), None, ToothMotion(1.5, 22.0, 20.0)),
    ]
    assert summarise(frames) == Scores(
        psnr_db=(20 + PSNR_CAP_DB) / 2,
        ssim=0.75,
        epe_px=1.9,
        iou=0.31,
        iou_frame_mean=pytest.approx((1 / 2 + 30 / 98) / 2),
        motion_px=1.0,
        slope=1.0,
    )


def test_nothing_measured_is_no_figure() -> None:
    assert summarise([FrameScore(), FrameScore(flow=FlowError(0.0, 0))]) == Scores()


def test_only_what_has_a_label_is_scored() -> None:
    frame = np.full((20, 30, 3), 90, np.uint8)
    assert score_frame(no_method(frame), LabelledFrame(frame)) == FrameScore()
    score = score_frame(no_method(frame), LabelledFrame(frame, reference=frame))
    assert score.psnr_db == math.inf and score.flow is None and score.overlap is None
    flow = np.full((2, 20, 30), 3.0, np.float32)
    score = score_frame(no_method(frame), LabelledFrame(frame, flow=flow, valid=np.ones((20, 30), bool)))
    assert score.flow.sum_px == pytest.approx(600 * math.sqrt(18)) and score.motion is None


def test_no_method_is_the_frame_no_flow_and_all_teeth() -> None:
    frame = np.full((20, 30, 3), 90, np.uint8)
    mask = np.zeros((20, 30), np.uint8)
    mask[:5] = 255
    output = no_method(frame)
    assert output.enhanced is frame and not output.flow.any()
    assert score_frame(output, LabelledFrame(frame, mask=mask)).overlap.iou == 0.25


def test_oracle_colour_undoes_an_affine_map_of_each_channel() -> None:
    reference = np.random.default_rng(0).integers(60, 200, (40, 50, 3), np.uint8)
    frame = np.rint(reference * np.array([0.5, 0.9, 0.7]) + np.array([60, 10, 0])).astype(np.uint8)
    restored = oracle_colour(frame, reference)
    assert np.abs(restored.enhanced.astype(int) - reference).max() <= 2
    assert restored.flow is None and restored.mask is None


def test_oracle_colour_of_a_constant_channel_is_its_mean() -> None:
    frame = np.zeros((8, 8, 3), np.uint8)
    reference = np.full((8, 8, 3), 40, np.uint8)
    reference[:4] = 60
    assert (oracle_colour(frame, reference).enhanced == 50).all()
