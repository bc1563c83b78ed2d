"""Verification passes a right model, and fails the mistakes that a runtime can make."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from mostnet.contract import VerificationError, VideoError
from mostnet.engine import Engine, Output
from mostnet.export import verify
from mostnet.export.accuracy import BOUNDS, Activity, FrameAccuracy, few_pixels, mean, worst
from mostnet.export.graph import save_graph
from mostnet.export.verification import VerificationReport, read_frames
from mostnet.model import Checkpoint, FrameModel, initial_checkpoint, load_checkpoint

from .conftest import SIZE


@pytest.fixture(scope="module")
def checkpoint(checkpoint_path: Path) -> Checkpoint:
    return load_checkpoint(checkpoint_path)


@pytest.fixture(scope="module")
def engine_path(half: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "tiny.onnx"
    save_graph(half, path)
    return path


class Wired:
    """The PyTorch network with the state of ``age`` frames ago: 1 is right, 2 is a swapped slot."""

    def __init__(self, checkpoint: Checkpoint, *, age: int) -> None:
        self.module = FrameModel(checkpoint.model)
        self.states = [self.module.zero_state(SIZE)] * age

    def infer(self, frame: np.ndarray) -> Output:
        with torch.inference_mode():
            enhanced, flow, mask, finite, *state = self.module(torch.from_numpy(frame)[None], *self.states.pop(0))
        self.states.append(tuple(state))
        pictures = (t[0].numpy() for t in (enhanced, flow, mask))
        return Output(*pictures, finite=bool(finite), frame_id=0, timestamp=None, latency_ms=0.0)


class Forgetful:
    """An engine whose state is zeroed before every frame."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def infer(self, frame: np.ndarray) -> Output:
        self.engine.reset()
        return self.engine.infer(frame)


def test_right_engine_passes(checkpoint: Checkpoint, engine_path: Path, clip: list[np.ndarray]) -> None:
    seen = []
    with Engine(engine_path) as engine:
        report = verify(checkpoint, engine, clip, precision="fp16", progress=seen.append)
    report.check()
    assert report.trivial == ()
    assert len(report.frames) == len(clip)
    assert seen == list(range(1, len(clip) + 1))


def test_zeroed_state_fails(checkpoint: Checkpoint, engine_path: Path, clip: list[np.ndarray]) -> None:
    with Engine(engine_path) as engine:
        report = verify(checkpoint, Forgetful(engine), clip, precision="fp16", name="zeroed")
    assert report.frames[0].keeps(report.bounds), "the first frame has no state to lose"
    assert report.failures == tuple(range(1, len(clip)))
    with pytest.raises(VerificationError, match=r"zeroed differs .* in 11 of 12 frames, first in frame 1: .* EPE"):
        report.check()


@pytest.mark.parametrize(("age", "fails"), [(1, False), (2, True)])
def test_swapped_slot_fails(checkpoint: Checkpoint, clip: list[np.ndarray], age: int, fails: bool) -> None:
    report = verify(checkpoint, Wired(checkpoint, age=age), clip, precision="int8")
    assert bool(report.failures) is fails


def test_one_bad_frame_in_a_clip_fails(checkpoint: Checkpoint, clip: list[np.ndarray]) -> None:
    class Glitch(Wired):
        def infer(self, frame: np.ndarray) -> Output:
            output = super().infer(frame)
            return output.replace(mask=255 - output.mask) if frame is clip[7] else output

    report = verify(checkpoint, Glitch(checkpoint, age=1), clip, precision="fp16")
    assert report.failures == (7,)


def test_identity_network_is_trivial(clip: list[np.ndarray]) -> None:
    untrained = initial_checkpoint("nano", seed=1)
    report = verify(untrained, Wired(untrained, age=1), clip, precision="fp16")
    report.check()
    assert any("the picture changes by 0.00 grey levels" in reason for reason in report.trivial)


@pytest.mark.parametrize(
    ("activity", "text"),
    [
        (Activity(1.43, 5, 0.5), "the picture changes by 1.43 grey levels, at most 1.43"),
        (Activity(9, 0.99, 0.5), "the flow is 0.99 px long, under 1"),
        (Activity(9, 5, 0.049), "the mask is 4.9% foreground"),
        (Activity(9, 5, 0.951), "the mask is 95.1% foreground"),
    ],
)
def test_trivial_reasons(activity: Activity, text: str) -> None:
    reasons = activity.trivial(BOUNDS["fp16"])
    assert len(reasons) == 1
    assert text in reasons[0]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_picture_is_trivial_where_the_frame_itself_would_pass(clip: list[np.ndarray], precision: str) -> None:
    bounds, frame = BOUNDS[precision], clip[0]
    flow, mask = np.full((2, *frame.shape[:2]), 3, np.float32), np.zeros(frame.shape[:2], np.uint8)
    mask[: len(mask) // 2] = 255
    seen = set()
    for step in range(9):
        picture = np.where(frame < 128, frame + step, frame - step).astype(np.uint8)
        nothing_passes = FrameAccuracy.of((frame, flow, mask), (picture, flow, mask), finite=True).keeps(bounds)
        assert bool(Activity.of(frame, (picture, flow, mask)).trivial(bounds)) is nothing_passes
        seen.add(nothing_passes)
    assert seen == {True, False}


def test_each_precision_has_its_own_limit() -> None:
    frames = (FrameAccuracy(60.0, 0.0, 1.0, True),) * 2
    found = {
        precision: bool(VerificationReport("small changes", frames, Activity(3, 5, 0.5), bounds).trivial)
        for precision, bounds in BOUNDS.items()
    }
    assert found == {"fp32": False, "fp16": False, "int8": True}


def test_one_active_frame_among_still_ones_is_trivial() -> None:
    frames = [Activity(3.0, 5, 0.5), *[Activity(0.0, 5, 0.5)] * 9]
    assert Activity.over(frames).trivial(BOUNDS["fp16"]) != ()
    assert Activity.over(frames[:4]).trivial(BOUNDS["fp16"]) == ()


def test_activity_of_a_clip_is_of_all_its_pixels() -> None:
    frame = np.full((4, 4, 3), 100, np.uint8)
    still, moved = np.zeros((2, 4, 4), np.float32), np.full((2, 4, 4), 3, np.float32)
    masks = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    parts = [Activity.of(frame, (frame + 6, still, masks[0])), Activity.of(frame, (frame - 8, moved, masks[1]))]
    assert Activity.over(parts) == Activity(pytest.approx(50**0.5), pytest.approx(18**0.5 / 2), 0.5)


def test_a_healed_frame_does_not_pass() -> None:
    assert not FrameAccuracy(99, 0, 1, finite=False).keeps(BOUNDS["fp16"])
    assert not FrameAccuracy(99, math.nan, 1, finite=True).keeps(BOUNDS["fp16"])


def test_one_frame_carries_no_state(checkpoint: Checkpoint, clip: list[np.ndarray]) -> None:
    with pytest.raises(VerificationError, match="at least two frames"):
        verify(checkpoint, Wired(checkpoint, age=1), clip[:1], precision="fp16")


def test_drift_and_table(capsys: pytest.CaptureFixture[str]) -> None:
    frames = tuple(FrameAccuracy(60 - t / 4, t / 1000, 1.0, True) for t in range(40))
    report = VerificationReport("drifting", frames, Activity(9, 9, 0.5), BOUNDS["fp16"])
    first, last = report.drift()
    assert (first.epe_px, last.epe_px) == (pytest.approx(0.0015), pytest.approx(0.0375))
    assert worst(frames).psnr_db == 60 - 39 / 4
    assert [row for column in report.table().columns[:1] for row in column.cells] == [
        "mean",
        "worst frame",
        "first tenth",
        "last tenth",
        "bound",
    ]


def test_mean_psnr_is_of_the_mean_squared_error() -> None:
    both = [FrameAccuracy(math.inf, 0, 1, True), FrameAccuracy(40, 1, 0.5, True)]
    assert mean(both).psnr_db == pytest.approx(40 + 10 * math.log10(2))


@pytest.mark.parametrize(
    ("size", "differing", "few"), [((96, 128), 8, True), ((96, 128), 9, False), ((480, 640), 16, False)]
)
def test_a_few_pixels_of_a_mask_say_nothing(size: tuple[int, int], differing: int, few: bool) -> None:
    mask = np.zeros(size, np.uint8)
    mask[0, :differing] = 255
    nothing = np.zeros_like(mask)
    assert few_pixels(mask, nothing) is few
    frame = FrameAccuracy(60, 0, 0, True, few_pixels(mask, nothing))
    assert frame.keeps(BOUNDS["fp16"]) is few
    assert few_pixels(mask, mask)


def test_frames_are_read_and_resized(video_path: Path, clip: list[np.ndarray], tmp_path: Path) -> None:
    frames = list(read_frames(video_path, size_hw=SIZE, limit=100))
    assert len(frames) == len(clip)
    assert np.abs(frames[3].astype(int) - clip[3]).mean() < 2
    assert [f.shape for f in read_frames(video_path, size_hw=(64, 80), limit=3)] == [(64, 80, 3)] * 3
    assert cv2.absdiff(frames[0], frames[1]).mean() > 2
    with pytest.raises(VideoError):
        list(read_frames(tmp_path / "gone.mp4", size_hw=SIZE, limit=3))
