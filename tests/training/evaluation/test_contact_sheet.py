"""The choice of frames, and the contact sheet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mostnet.contract.metrics import FlowError
from mostnet.engine import Output
from mostnet.training.data.dataset import LabelledFrame
from mostnet.training.evaluation.contact_sheet import Pick, Shown, pick_frames, teeth_picture, write_sheet
from mostnet.training.evaluation.evaluate import Evaluation, SequenceScores
from mostnet.training.evaluation.rows import RowScores
from mostnet.training.evaluation.scores import FrameScore


def rows_of(frames: tuple[FrameScore, ...]) -> RowScores:
    """The same scores in every row."""
    return RowScores(baseline=frames, oracle=frames, dis=frames, model=frames, clean=frames)


def evaluation_of(*psnr_db: list[float]) -> Evaluation:
    """One sequence for each list, with these PSNR values."""
    sequences = []
    for i, values in enumerate(psnr_db):
        frames = tuple(FrameScore(psnr_db=value, ssim=0.5) for value in values)
        sequences.append(SequenceScores(f"s{i}", rows_of(frames), 0, 1.0))
    return Evaluation(tuple(sequences))


def test_worst_median_and_best_of_different_sequences() -> None:
    picks = pick_frames(evaluation_of([1, 10, 11, 30], [99, 12, 20, 29], [50, 21, 28, 27]))
    places = [(pick.kind, pick.sequence, pick.frame) for pick in picks]
    assert places[:2] == [("worst", 0, 1), ("worst", 1, 1)]  # 11 is of the same sequence as 10
    assert places[2:4] == [("median", 2, 1), ("median", 1, 2)]  # 21 of 10 to 30, then 20
    assert places[4:] == [("best", 0, 3), ("best", 1, 3)]


def test_no_frame_twice_and_the_first_only_if_there_is_no_other() -> None:
    assert pick_frames(evaluation_of([5, 7])) == [Pick("worst", 0, 1)]
    assert pick_frames(evaluation_of([5])) == [Pick("worst", 0, 0)]


def test_ranked_by_flow_where_pictures_have_no_reference() -> None:
    frames = tuple(FrameScore(flow=FlowError(error * 10, 10)) for error in (0, 3, 1, 2))
    evaluation = Evaluation((SequenceScores("s", rows_of(frames), 0, 1.0),))
    assert [pick.frame for pick in pick_frames(evaluation, each=1)] == [1, 3, 2]


def test_teeth_are_tinted_by_what_was_found() -> None:
    frame = np.full((1, 4, 3), 100, np.uint8)
    mask, truth = np.uint8([[255, 0, 255, 0]]), np.uint8([[255, 255, 0, 0]])
    found, missed, false, nothing = teeth_picture(frame, mask, truth)[0].astype(int)
    assert found[0] > 130 and found[2] < 100  # cyan
    assert missed[2] > 130 and missed[0] < 100  # red
    assert false[2] > 130 and false[1] > 130 and false[0] < 100  # yellow
    assert (nothing == 100).all()
    assert (teeth_picture(frame, mask, None)[0, 2] == found).all()


def test_sheet_has_a_row_for_each_frame_and_room_for_missing_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (48, 64, 3), np.uint8)
    flow = np.full((2, 48, 64), 3, np.float32)
    output = Output(frame, flow, frame[..., 0], True, 0, None, 1.0)
    bare = Output(None, None, None, True, 0, None, 1.0)
    labelled = LabelledFrame(frame, frame, frame[..., 0], flow, np.ones((48, 64), bool))
    score = FrameScore(20.0, 0.5)
    shown = [
        Shown(Pick("worst", 0, 1), "a", labelled, output, score, score),
        Shown(Pick("median", 0, 2), "a", LabelledFrame(frame), bare, FrameScore(), FrameScore()),
    ]
    heights = []
    for count in (1, 2):
        path = tmp_path / f"{count}.png"
        write_sheet(path, shown[:count], evaluation_of([20, 21, 22]), title="title")
        heights.append(cv2.imread(str(path)).shape[0])
    assert heights[1] > heights[0] + 200
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.png", "2.png"]
