"""Pictures moved along camera paths: their motion is the known one, and the table says what each method leaves."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from mostnet.bench.steady import ffmpeg, photographs, recordings
from mostnet.bench.steady import report as steady_report
from mostnet.bench.steady.checks import shown_views
from mostnet.bench.steady.clips import measured
from mostnet.bench.steady.light import Lamp
from mostnet.bench.steady.methods import ours
from mostnet.bench.steady.moved import CLEAN, Look, MovedClip, move
from mostnet.bench.steady.photographs import Score, scores
from mostnet.bench.steady.recordings import BARE, Still, Way, bare_surface, drawn_still, drawn_ways, moved_clips
from mostnet.bench.steady.shaken import Shake, jitter
from mostnet.bench.steady.tables import print_scores, scores_json
from mostnet.bench.steady.truth import believed_motions, corner_errors_px, held_share, true_jitter_px
from mostnet.contract import DatasetError, MeasurementError
from mostnet.video import StabiliserOptions
from mostnet.video.steady.picture_path import picture_steps
from mostnet.video.steady.similarity import Similarity

SIZE_HW = (120, 160)
HEADER = "path,fps,frame,dx,dy,angle,zoom\n"


def _poses(count: int, *, shift_px: float = 3.0) -> list[Similarity]:
    return jitter(count, np.random.default_rng(0), Shake(shift_px=shift_px))


@pytest.fixture(scope="module")
def still() -> Still:
    return drawn_still()


@pytest.fixture(scope="module")
def shaking(still: Still) -> MovedClip:
    """A clean clip of a shaking camera."""
    return move("shaking", still.pixels, _poses(40), size_hw=SIZE_HW)


def test_the_content_moves_by_the_known_motion(shaking: MovedClip) -> None:
    """``motions`` lead back to the frame before, so the content makes the inverse."""
    found = picture_steps(shaking.frames)
    known = np.array([motion.inverse().b for motion in shaking.motions])
    assert found.known.all()
    assert np.median(np.abs(found.shifts - known)) < 0.25
    assert np.abs(known).mean() > 3


def test_a_recorded_step_carries_the_frame_before_onto_the_next(tmp_path: Path, still: Still) -> None:
    steps = "".join(f"A,25,{k},0.02,-0.01,0.004,1.002\n" for k in range(1, 41))
    (tmp_path / "paths.csv").write_text(HEADER + steps)
    (way,) = recordings.ways_of(tmp_path / "paths.csv", frames=42)
    assert way.name == "A" and len(way.poses) == 41
    clip = recordings.moved(still, way, size_hw=SIZE_HW)
    for motion in clip.motions:
        forward = motion.inverse()
        assert forward.b == pytest.approx((0.02 - 0.01j) * SIZE_HW[0])
        assert (forward.angle, forward.scale) == pytest.approx((0.004, 1.002))
    found = picture_steps(clip.frames).shifts
    assert np.median(found.real) == pytest.approx(0.02 * SIZE_HW[0], abs=0.3)
    assert np.median(found.imag) == pytest.approx(-0.01 * SIZE_HW[0], abs=0.3)


def test_a_gap_splits_a_path_and_the_longest_run_counts(tmp_path: Path) -> None:
    rows = [f"A,25,{k},0.01,0,0,1" if k not in (10, 60) else f"A,25,{k},,,," for k in range(1, 65)]
    (tmp_path / "paths.csv").write_text(HEADER + "\n".join(rows) + "\n")
    (way,) = recordings.ways_of(tmp_path / "paths.csv", frames=100)
    assert len(way.poses) == 50
    (tmp_path / "paths.csv").write_text(HEADER + "\n".join(rows[:30]) + "\n")
    with pytest.raises(DatasetError, match="no path has 40 frames of known motion without a gap"):
        recordings.ways_of(tmp_path / "paths.csv", frames=100)


def test_small_photographs_are_refused(tmp_path: Path) -> None:
    for folder, suffix in (("image", "jpg"), ("mask", "png")):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / f"1.{suffix}"), np.full((200, 300, 3), 255, np.uint8))
    with pytest.raises(DatasetError, match="no photograph whose sides are at least 400 pixels"):
        recordings.photos_of(tmp_path)


def test_photographs_are_read(tmp_path: Path, still: Still) -> None:
    for folder in ("image", "mask"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "image" / "7.jpg"), still.pixels[..., :3])
    cv2.imwrite(str(tmp_path / "mask" / "7.png"), np.where(still.pixels[..., 3] > 127, 255, 0).astype(np.uint8))
    (found,) = recordings.photos_of(tmp_path)
    assert found.name == "7" and found.pixels.shape == still.pixels.shape


def test_the_mask_is_where_the_tooth_is(shaking: MovedClip, still: Still) -> None:
    far = move("far", still.pixels, [Similarity(1 + 0j, 40 + 0j)], size_hw=SIZE_HW)
    centres = [np.argwhere(mask > 127).mean(axis=0)[1] for mask in (shaking.masks[0], far.masks[0])]
    assert centres[0] - centres[1] == pytest.approx(40 - shaking.poses[0].b.real, abs=2)


def test_the_plane_is_mirrored_without_end(still: Still) -> None:
    away = move("away", still.pixels, [Similarity(1 + 0j, 5000 - 3000j)], size_hw=SIZE_HW).frames[0]
    assert away.std() > 5 and away.min() > 0


@pytest.mark.parametrize("instrument", ["fixed", "hand"])
def test_an_instrument_hides_the_tooth(still: Still, instrument: str) -> None:
    poses = [Similarity()] * 12
    bare = move("a", still.pixels, poses, size_hw=SIZE_HW)
    covered = move("b", still.pixels, poses, size_hw=SIZE_HW, look=Look(0.0, False, False, instrument), seed=3)
    hidden = (bare.masks[0] > 127) & (covered.masks[0] < 128)
    assert hidden.any()
    assert np.abs(bare.frames[0].astype(int) - covered.frames[0])[hidden].mean() > 5
    moved = np.abs(covered.frames[0].astype(int) - covered.frames[11]).max() > 20
    assert moved == (instrument == "hand")
    with pytest.raises(ValueError, match="instrument is 'spoon'; expected one of none, fixed, hand"):
        Look(instrument="spoon")


def test_wear_lamp_and_blur_change_the_picture(still: Still) -> None:
    poses = [Similarity(1 + 0j, 12j * k) for k in range(3)]
    clean = move("a", still.pixels, poses, size_hw=SIZE_HW).frames[1]
    for look in (Look(0.5, False, False), Look(0.0, True, False), Look(0.0, False, True)):
        worn = move("b", still.pixels, poses, size_hw=SIZE_HW, look=look).frames[1]
        assert np.abs(clean.astype(int) - worn).mean() > 0.5
    assert Look(0.0, False, False) == CLEAN


def test_the_lamp_flashes_and_flickers() -> None:
    lamp = Lamp(np.random.default_rng(0), SIZE_HW)
    grey = np.full((*SIZE_HW, 3), 100, np.float32)
    levels = np.array([np.median(lamp.shine(grey, Similarity())) for _ in range(300)])
    assert 1 < levels[levels < 120].std() < 6
    assert 1 <= (levels > 130).sum() < 20


def test_clips_take_turns_and_end_with_the_bare_surface(still: Still) -> None:
    ways = [Way(name, _poses(12)) for name in "AB"]
    clips = list(moved_clips([still], ways, size_hw=SIZE_HW))
    assert [clip.name for clip in clips] == ["A", "B", BARE]
    assert clips[2].masks[0].min() == 255
    assert len(drawn_ways(frames=5)) == 2 and len(drawn_ways(frames=5)[0].poses) == 5


def test_the_bare_surface_is_white_and_nearly_bare() -> None:
    clip = bare_surface(frames=12)
    assert clip.frames[0].mean() > 150
    assert cv2.GaussianBlur(clip.frames[0], (0, 0), 2)[100:-100, 100:-100].std() < 8
    assert abs(clip.motions[0].b) > 0.5


def test_the_error_of_the_motion_is_that_of_the_corners() -> None:
    true = [Similarity(1 + 0j, 3 + 0j), Similarity(), Similarity()]
    turned = Similarity(np.exp(0.01j).item())
    found = [Similarity(1 + 0j, 3 + 4j), None, turned]
    diagonal = abs(complex(*SIZE_HW)) / 2
    assert corner_errors_px(found, true, SIZE_HW) == pytest.approx([4, 0.01 * diagonal], rel=0.02)


def test_the_stabiliser_s_motion_follows_from_its_corrections(shaking: MovedClip) -> None:
    pairs = measured(shaking.frames, masks=shaking.masks)
    run = ours(pairs, StabiliserOptions())
    believed = believed_motions(run.corrections, SIZE_HW)
    assert len(believed) == len(shaking.motions)
    errors = corner_errors_px(believed, shaking.motions, SIZE_HW)
    assert len(errors) > 30 and np.median(errors) < 0.5
    shown = [view.then(pose) for view, pose in zip(shown_views(run.corrections, SIZE_HW), shaking.poses, strict=True)]
    assert true_jitter_px(shown[12:]) < 0.3 * true_jitter_px(shaking.poses[12:])


def test_a_tooth_is_held_if_it_stays_within_a_hundredth_of_the_height() -> None:
    """A camera that drifts: the view holds, and slips by 2 pixels in each tenth frame."""
    count = np.arange(200)
    poses = [Similarity(1 + 0j, 3 * np.sin(k / 8).item() + 0j) for k in count]
    steady = [Similarity(1 + 0j, (2.0 if k % 10 == 0 else 0.0) + 5j) for k in count]
    assert held_share(poses, poses, 7 + 7j, SIZE_HW, crops=[0.1] * 200) < 0.5
    assert held_share(steady, poses, 7 + 7j, SIZE_HW, crops=[0.1] * 200) == pytest.approx(0.9, abs=0.01)
    far = [Similarity(1 + 0j, 0.5 * complex(k)) for k in count]
    assert np.isnan(held_share(steady, far, 0j, SIZE_HW, crops=[0.1] * 200))


@pytest.mark.skipif(ffmpeg.missing_vidstab() is not None, reason="the ffmpeg command has no vid.stab")
def test_vidstab_steadies(still: Still) -> None:
    clip = move("a", still.pixels, _poses(40, shift_px=4.0), size_hw=(240, 320))
    steady = ffmpeg.vidstab(clip.frames, smoothing=10)
    assert len(steady) == 40 and steady[0].shape == clip.frames[0].shape
    assert picture_steps(steady).jitter_px < 0.7 * picture_steps(clip.frames).jitter_px


def test_a_failure_of_ffmpeg_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "missing_vidstab", lambda: "no ffmpeg command")
    with pytest.raises(MeasurementError, match=r"no ffmpeg command; install an ffmpeg with vid\.stab"):
        ffmpeg.vidstab([np.zeros((*SIZE_HW, 3), np.uint8)], smoothing=10)


def test_the_table_says_what_is_missing(
    shaking: MovedClip, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(photographs, "missing_vidstab", lambda: "no ffmpeg command")
    parts: list[tuple[str, int, int]] = []
    found = list(scores([shaking], progress=lambda *part: parts.append(part)))
    assert parts[-1][1] == parts[-1][2] == len(found)
    own = [score for score in found if score.truth is not None]
    assert len(own) == len(photographs.variants())
    assert all(score.ratio < 1 and score.truth.ratio < 1 and score.truth.error_px for score in own)
    print_scores(Console(width=140), found)
    printed = capsys.readouterr().out
    assert "not run: no ffmpeg command" in printed and "by the known path" in printed and "0 of 1" in printed
    assert json.loads(json.dumps(scores_json(found), allow_nan=False))[-1]["ratio"] is None


def test_what_made_it_worse_is_counted_without_the_bare_surface(capsys: pytest.CaptureFixture[str]) -> None:
    row = [Score(clip, "a", ratio) for clip, ratio in (("A", 0.5), ("B", 1.5), ("C", float("nan")), (BARE, 3.0))]
    print_scores(Console(width=140), row)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("│ a"))
    assert [cell.strip() for cell in line.split("│")[2:8]] == ["0.50", "1.50", "unknown", "3.00", "1.00", "1 of 2"]


def test_one_part_of_the_report_can_be_made_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, still: Still, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [move("short", still.pixels, _poses(30), size_hw=SIZE_HW)]
    monkeypatch.setattr(steady_report, "moved_clips", lambda stills, ways, size_hw: few)
    path = tmp_path / "report.json"
    assert steady_report.main(["--parts", "moved", "--json", str(path)]) == 0
    assert "deshake" in capsys.readouterr().out
    report = json.loads(path.read_text())
    assert {row["clip"] for row in report["moved"]} == {"short"} and "checks" not in report
