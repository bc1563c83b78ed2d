"""The figures of a split from its frames, and the rows without a network."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace

import numpy as np
import pytest

from mostnet.contract.metrics import FlowError, Overlap
from mostnet.training.data.dataset import LabelledFrame
from mostnet.training.evaluation.baselines import no_method, oracle_colour
from mostnet.training.evaluation.motion import ToothMotion
from mostnet.training.evaluation.scores import PSNR_CAP_DB, FrameScore, Scores, score_frame, summarise
from mostnet.training.evaluation.shade import ShadeErrors, tooth_shade


def test_means_and_sums_of_frames() -> None:
    frames = [
        FrameScore(20.0, 0.5, None, Overlap(1, 2), fit_db=24.0, shade=ShadeErrors(1.5, array("I", [0] * 50 + [3]))),
        FrameScore(math.inf, 1.0, FlowError(10.0, 10), Overlap(30, 98), ToothMotion(0.5, 8.0, 10.0), fit_db=math.inf),
        FrameScore(None, None, FlowError(180.0, 90), None, ToothMotion(1.5, 22.0, 20.0)),
        FrameScore(shade=ShadeErrors(2.5, array("I", [0] * 250 + [1]))),
    ]
    assert summarise(frames) == Scores(
        psnr_db=(20 + PSNR_CAP_DB) / 2,
        fit_db=(24 + PSNR_CAP_DB) / 2,
        ssim=0.75,
        shade_mean_de00=1.0,
        shade_p95_de00=2.5,
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


def labelled(seed: int = 0) -> LabelledFrame:
    """A tinted, noisy frame with every label."""
    rng = np.random.default_rng(seed)
    reference = rng.integers(0, 256, (40, 50, 3), np.uint8)
    frame = np.clip(reference * 0.6 + 30 + rng.normal(0, 9, reference.shape), 0, 255).astype(np.uint8)
    mask = np.zeros((40, 50), np.uint8)
    mask[5:30, 10:40] = 255
    return LabelledFrame(frame, reference, mask, np.ones((2, 40, 50), np.float32), np.ones((40, 50), bool))


def test_fit_of_the_baseline_is_the_psnr_of_the_oracle() -> None:
    labels = labelled()
    baseline = score_frame(no_method(labels.input), labels)
    oracle = score_frame(oracle_colour(labels.input, labels.reference), labels)
    assert baseline.fit_db == oracle.psnr_db > baseline.psnr_db + 3
    assert score_frame(no_method(labels.reference), labels).fit_db == math.inf


def test_shade_is_of_the_picture_on_the_teeth() -> None:
    labels = labelled()
    score = score_frame(no_method(labels.input), labels)
    assert score.shade == tooth_shade(labels.input, labels.reference, labels.mask)
    assert score.shade.pixels == 25 * 30
    assert score_frame(no_method(labels.input), replace(labels, mask=None)).shade is None
    assert score_frame(no_method(labels.input), replace(labels, reference=None)).shade is None


def test_quick_scores_leave_out_everything_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = labelled()
    full = score_frame(no_method(labels.input), labels)
    for name in ("best_colours", "tooth_shade", "ssim", "tooth_motion"):
        monkeypatch.delattr(f"mostnet.training.evaluation.scores.{name}")
    quick = score_frame(no_method(labels.input), labels, quick=True)
    assert quick == FrameScore(psnr_db=full.psnr_db, flow=full.flow, overlap=full.overlap)
