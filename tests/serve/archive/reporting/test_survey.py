"""What the report tells of a video: its picture, its teeth, how steady it is, and special events."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mostnet.contract import ENHANCED, MASK, OUTPUTS, DeviceError, OutputName
from mostnet.engine import Engine, Output
from mostnet.serve.archive.records import Findings, RunOptions
from mostnet.serve.archive.reporting import excerpts, steadiness
from mostnet.serve.archive.reporting import survey as survey_module
from mostnet.serve.archive.reporting.survey import MOMENTS, WARM_UP, survey
from mostnet.video import RunSummary, VideoReader, run
from mostnet.video.decoding.deinterlace import Deinterlacer
from mostnet.video.steady.cli import measure_video

from ....toy_graph import save_toy
from ....video.samples import FPS, damage_packet, moving_frames, psnr, write_with_av

FRAMES = 50
#: Height of the labels, and the distance of the two pictures.
STRIP_PX, GAP_PX = 22, 4


class TeethEngine:
    """Finds that the left half is tooth, but nothing in the first ``WARM_UP`` frames after a reset.

    ``shares`` has other shares than a half, by the number of the reset.
    """

    def __init__(
        self,
        outputs: tuple[OutputName, ...] = OUTPUTS,
        *,
        error: Exception | None = None,
        shares: tuple[float, ...] = (),
    ) -> None:
        self.outputs = outputs
        self.shares = iter(shares)
        self.share = 0.5
        self.metadata = SimpleNamespace(size_hw=(64, 80))
        self.error = error
        self.frames = self.since_reset = 0

    def reset(self) -> None:
        self.since_reset = 0
        self.share = next(self.shares, 0.5)

    def infer(self, frame: np.ndarray) -> Output:
        if self.error is not None:
            raise self.error
        self.frames += 1
        self.since_reset += 1
        mask = np.zeros(frame.shape[:2], np.uint8)
        mask[:, : int(frame.shape[1] * self.share)] = 255 * (self.since_reset > WARM_UP)
        return Output(255 - frame, np.zeros((2, *mask.shape), np.float32), mask, True, 0, None, 1.0)


def summary_of(frames: int = FRAMES, **counts: int) -> RunSummary:
    return RunSummary(output=None, frames=frames, heals=0, fps=FPS, elapsed_s=1.0, stopped=False, **counts)


def panels(picture: bytes, size_hw: tuple[int, int] = (64, 80)) -> list[np.ndarray]:
    """The pictures of a PNG without their labels, at the size of the video."""
    whole = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    below = whole[STRIP_PX:]
    assert below.shape[0] == size_hw[0]
    return [below[:, left : left + size_hw[1]] for left in range(0, below.shape[1], size_hw[1] + GAP_PX)]


def nearest(picture: np.ndarray, video: Path) -> int:
    """The number of the frame that looks most like the picture."""
    with VideoReader(video) as reader:
        levels = [psnr(picture, frame) for frame in reader]
    assert max(levels) > 40
    return int(np.argmax(levels))


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_with_av(tmp_path_factory.mktemp("clip") / "clip.mp4", moving_frames(FRAMES, (64, 80)))


def test_the_picture_shows_a_moment_of_the_video_beside_that_of_the_result(clip: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.mp4"
    with Engine(save_toy(tmp_path / "toy.onnx"), provider="cpu", outputs=(ENHANCED,)) as engine:
        summary = run(clip, engine, result)
        found = survey(clip, result, engine, RunOptions(), summary)
    assert found.picture is not None
    before, after = panels(found.picture)
    assert nearest(before, clip) == nearest(after, result) == FRAMES // 2
    assert psnr(255 - before, after) > 25  # the toy network gives the negative
    assert found.jitter_before_px is not None and found.jitter_after_px is not None
    assert found.events == {}


def test_every_layout_is_shown_as_it_was_written(clip: Path, tmp_path: Path) -> None:
    with Engine(save_toy(tmp_path / "toy.onnx"), provider="cpu", outputs=(ENHANCED,)) as engine:
        summary = run(clip, engine, tmp_path / "result.mp4", layout="side-by-side", frames=30)
        found = survey(clip, tmp_path / "result.mp4", engine, RunOptions(layout="side-by-side"), summary)
    assert found.picture is not None
    whole = cv2.imdecode(np.frombuffer(found.picture, np.uint8), cv2.IMREAD_COLOR)
    assert whole.shape == (STRIP_PX + 64, 80 + GAP_PX + 160, 3)
    after = np.ascontiguousarray(whole[STRIP_PX:, 80 + GAP_PX :])
    assert nearest(after, tmp_path / "result.mp4") == 15
    assert (found.jitter_before_px is None, found.jitter_after_px) == (False, None)


@pytest.mark.parametrize(("frames", "moments"), [(6, 1), (99, 1), (100, 2), (249, 4), (250, MOMENTS), (400, MOMENTS)])
def test_the_network_runs_a_tenth_of_the_frames_again_or_one_moment(tmp_path: Path, frames: int, moments: int) -> None:
    """No frame is surveyed before the state has settled."""
    video, engine = write_with_av(tmp_path / "clip.mp4", moving_frames(frames, (64, 80))), TeethEngine()
    assert survey(video, None, engine, RunOptions(), summary_of(frames)).teeth_share == 0.5
    assert engine.frames == moments * (WARM_UP + 1)


def test_the_moment_with_the_most_teeth_is_shown(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "ONE_OF", 1)
    found = survey(clip, None, TeethEngine(shares=(0.5, 0.25, 0.25, 0.75, 0)), RunOptions(), summary_of())
    assert found.picture is not None
    assert found.teeth_share == pytest.approx(0.35)
    assert nearest(panels(found.picture)[0], clip) == FRAMES * 7 // 10


def test_a_cut_on_the_way_resets_the_engine(tmp_path: Path) -> None:
    frames = moving_frames(2 * FRAMES, (64, 80))
    video = write_with_av(tmp_path / "clip.mp4", frames[:4] + [255 - frame[::-1] for frame in frames[60:65]])
    assert survey(video, None, TeethEngine(), RunOptions(), summary_of(9)).teeth_share == 0


def test_margins_do_not_count(tmp_path: Path) -> None:
    """A portrait fills columns 24 to 56 of the engine's 80."""
    video = write_with_av(tmp_path / "clip.mp4", moving_frames(WARM_UP + 1, (96, 48)))
    found = [
        survey(video, None, TeethEngine(shares=(share,)), RunOptions(), summary_of(WARM_UP + 1))
        for share in (0.25, 0.4)
    ]
    assert [one.teeth_share for one in found] == [0, 0.25]


def test_an_engine_without_the_mask_is_not_run(clip: Path) -> None:
    engine = TeethEngine(tuple(name for name in OUTPUTS if name != MASK), error=RuntimeError("was run"))
    found = survey(clip, None, engine, RunOptions(), summary_of())
    assert found.teeth_share is None
    assert found.picture is not None and len(panels(found.picture)) == 1


def shaken(count: int, shake_px: float) -> list[np.ndarray]:
    """Views of one texture, moved by noise."""
    large = moving_frames(1, (160, 200))[0]
    places = np.random.default_rng(4).normal(0, max(shake_px, 1e-6), (count, 2)).clip(-20, 20)
    return [cv2.warpAffine(large, np.array([[1, 0, x - 32], [0, 1, y - 32]]), (128, 96)) for x, y in places]


@pytest.fixture(scope="module")
def shaking(tmp_path_factory) -> Path:
    return write_with_av(tmp_path_factory.mktemp("shaking") / "clip.mp4", shaken(FRAMES, 3))


def test_jitter_is_that_of_the_steadiness_command(shaking: Path, tmp_path: Path) -> None:
    steady = write_with_av(tmp_path / "steady.mp4", shaken(FRAMES, 1))
    found = survey(shaking, steady, TeethEngine(), RunOptions(), summary_of())
    assert found.jitter_before_px == pytest.approx(measure_video(shaking).pictures.jitter_px, rel=1e-6)
    assert found.jitter_after_px == pytest.approx(measure_video(steady).pictures.jitter_px, rel=1e-6)
    assert found.jitter_after_px < found.jitter_before_px / 2


def test_a_pause_does_not_put_the_two_out_of_step(shaking: Path, tmp_path: Path) -> None:
    """The result lacks frames; each of its frames is compared with the one shown at its time."""
    with VideoReader(shaking) as reader:
        frames = list(reader)
    there = [k for k in range(FRAMES) if not 15 <= k < 22]
    gap = write_with_av(tmp_path / "gap.mp4", [frames[k] for k in there], pts=there)
    found = survey(shaking, gap, TeethEngine(), RunOptions(), summary_of())
    assert found.jitter_after_px == pytest.approx(found.jitter_before_px, rel=0.03)


def test_a_step_that_is_unknown_in_one_counts_in_neither(shaking: Path, tmp_path: Path) -> None:
    with VideoReader(shaking) as reader:
        frames = list(reader)
    frames[20:26] = [np.zeros_like(frames[0])] * 6
    dark = write_with_av(tmp_path / "dark.mp4", frames)
    found = survey(shaking, dark, TeethEngine(), RunOptions(), summary_of())
    assert found.jitter_after_px == pytest.approx(found.jitter_before_px, rel=0.03)
    assert found.jitter_before_px < 0.95 * measure_video(shaking).pictures.jitter_px


@pytest.mark.parametrize("layout", ["grid", "mask"])
def test_results_of_other_pictures_are_not_compared(shaking: Path, layout: str) -> None:
    found = survey(shaking, shaking, TeethEngine(), RunOptions(layout=layout), summary_of())
    assert (found.jitter_before_px is None, found.jitter_after_px) == (False, None)


def test_results_of_another_size_are_not_compared(shaking: Path, clip: Path) -> None:
    found = survey(shaking, clip, TeethEngine(), RunOptions(), summary_of())
    assert (found.jitter_before_px is None, found.jitter_after_px) == (False, None)


def test_a_result_with_an_odd_side_is_compared(tmp_path: Path) -> None:
    video, result = tmp_path / "in", tmp_path / "out.mp4"
    video.mkdir()
    for k, frame in enumerate(moving_frames(30, (65, 81))):
        cv2.imwrite(str(video / f"{k}.png"), frame)
    with Engine(save_toy(tmp_path / "toy.onnx"), provider="cpu") as engine:
        summary = run(video, engine, result)
        assert survey(video, result, engine, RunOptions(), summary).jitter_after_px is not None


@pytest.mark.parametrize("frames", [1, 2, 26, 27])
def test_a_short_video_has_a_picture_but_no_jitter(
    tmp_path: Path, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(steadiness, "PictureStepper")  # its motion is not looked at for nothing
    video = write_with_av(tmp_path / "clip.mp4", moving_frames(frames, (64, 80)))
    found = survey(video, video, TeethEngine(), RunOptions(), summary_of(frames))
    assert found.picture is not None and len(panels(found.picture)) == 2
    assert found == Findings(picture=found.picture, teeth_share=0.5 if frames > WARM_UP else 0.0)


def test_from_28_frames_on_a_video_has_jitter(tmp_path: Path) -> None:
    video = write_with_av(tmp_path / "clip.mp4", moving_frames(28, (64, 80)))
    assert survey(video, video, TeethEngine(), RunOptions(), summary_of(28)).jitter_before_px is not None


def test_special_events_have_the_names_of_the_command(clip: Path) -> None:
    counts = {"resets": 2, "lost": 13, "faded": 1, "toothless": 4}
    events = survey(clip, None, TeethEngine(), RunOptions(), replace(summary_of(**counts), heals=3)).events
    assert events == {
        "new scenes": 2,
        "without tracking": 13,
        "with a faded correction": 1,
        "without teeth": 4,
        "came out invalid and were replaced": 3,
    }


def test_a_broken_result_costs_only_its_figures(shaking: Path, tmp_path: Path, caplog) -> None:
    (tmp_path / "result.mp4").write_bytes(b"no video at all")
    found = survey(shaking, tmp_path / "result.mp4", TeethEngine(), RunOptions(), summary_of())
    assert found.picture is not None and len(panels(found.picture, (96, 128))) == 1
    assert (found.jitter_before_px is None, found.jitter_after_px, found.teeth_share) == (False, None, 0.5)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert "result.mp4: not a video that can be read" in caplog.text


def test_a_failing_engine_costs_only_the_teeth(clip: Path, caplog) -> None:
    found = survey(clip, None, TeethEngine(error=DeviceError("the GPU is gone")), RunOptions(), summary_of())
    assert found.teeth_share is None and found.picture is not None
    assert "the GPU is gone" in caplog.text


def test_a_mistake_in_the_program_is_not_hidden(clip: Path) -> None:
    with pytest.raises(RuntimeError, match="a mistake"):
        survey(clip, None, TeethEngine(error=RuntimeError("a mistake")), RunOptions(), summary_of())


@pytest.mark.parametrize("frames", [0, 7])
def test_a_video_that_cannot_be_opened_has_its_events(tmp_path: Path, frames: int, caplog) -> None:
    summary = summary_of(frames, resets=2)
    found = survey(tmp_path / "none.mp4", None, TeethEngine(), RunOptions(), summary)
    assert found == Findings(events={"new scenes": 2})
    assert ("none.mp4: no such file" in caplog.text) == (frames > 0)


def test_a_damaged_video_is_surveyed_around_the_damage(tmp_path: Path) -> None:
    video = write_with_av(tmp_path / "clip.mp4", moving_frames(FRAMES, (64, 80)))
    damage_packet(video, 30)
    found = survey(video, video, TeethEngine(), RunOptions(), summary_of(FRAMES - 1))
    assert found.picture is not None and len(panels(found.picture)) == 2
    assert found.teeth_share and found.jitter_before_px is not None


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_the_work_does_not_grow_with_the_video(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steadiness, "RUN", 30)
    monkeypatch.setattr(survey_module, "WARM_UP", 2)
    monkeypatch.setattr(excerpts, "MOST_SKIPPED", 40)
    monkeypatch.setattr(survey_module, "MOST_SKIPPED", 40)
    seen: list[int] = []
    feed = Deinterlacer.feed
    monkeypatch.setattr(Deinterlacer, "feed", lambda self, picture: seen.append(len(seen)) or feed(self, picture))
    counts: dict[int, int] = {}
    for frames in (160, 280):
        video = write_with_av(tmp_path / f"{frames}{suffix}", moving_frames(frames, (64, 80)))
        seen.clear()
        found = survey(video, None, TeethEngine(), RunOptions(), summary_of(frames))
        assert found.picture is not None and found.teeth_share is not None and found.jitter_before_px is not None
        counts[frames] = len(seen)
    assert abs(counts[280] - counts[160]) <= 12 * (MOMENTS + 2)  # as the excerpts lie between key frames
    assert counts[280] < 280
