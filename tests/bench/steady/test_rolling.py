"""Drawn scenes of a rolling shutter, and what the correction leaves of its skew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mostnet.bench.steady.recordings import first_ways
from mostnet.bench.steady.rolling import places, render_rows, row_poses, skew_of, through, vibrating
from mostnet.bench.steady.rolling_report import drawn, main, wobble_of
from mostnet.bench.steady.shaken import SIZE_HW, Shake, render, world
from mostnet.video.steady.shutter.rows import RowSkew, warp_rows
from mostnet.video.steady.similarity import Similarity

PATH = vibrating(np.random.default_rng(3), Shake(), highest_hz=8)


def test_a_global_shutter_is_the_plain_picture() -> None:
    scene = world(np.random.default_rng(0))
    pose = PATH(np.asarray(4.0))
    plain = render(scene, Similarity(complex(pose.a), complex(pose.b)))
    apart = np.abs(render_rows(scene, PATH, 4, share=0).astype(int) - plain)[:, :330]  # the bur is on the right
    assert apart.mean() < 0.5
    assert np.abs(skew_of(PATH, 4.0, places((48, 64)), share=0, height=48)).max() < 1e-9


def test_the_true_skew_undoes_the_shutter() -> None:
    """A camera that moves evenly skews every frame alike."""
    scene, speed = world(np.random.default_rng(0)), 6 + 3j
    path = through([Similarity(1 + 0j, speed * k) for k in range(8)])
    skewed, straight = (render_rows(scene, path, 4, share=share) for share in (0.8, 0.0))
    skew = RowSkew(0j, speed * 0.8 / SIZE_HW[0], 0j, 0j)
    some = places(SIZE_HW)[::40, ::40]
    assert skew.displacement(some) == pytest.approx(skew_of(path, 4.0, some, share=0.8, height=SIZE_HW[0]), abs=1e-6)
    shown = warp_rows(skewed, Similarity().matrix(SIZE_HW), skew)
    inner = (slice(8, -8), slice(8, -8))
    before, after = (np.abs(picture.astype(int) - straight)[inner].mean() for picture in (skewed, shown))
    assert after < 0.35 * before


def test_a_path_passes_through_its_poses() -> None:
    poses = [Similarity(complex(np.exp(0.01j * k)), complex(k * k, -k)) for k in range(12)]
    found = through(poses)(np.arange(12.0))
    assert found.b == pytest.approx(np.array([pose.b for pose in poses]))
    assert found.a == pytest.approx(np.array([pose.a for pose in poses]))
    assert row_poses(through(poses), 5, 0.5, 101).b[50, 0] == pytest.approx(25 - 5j)


def test_a_recorded_path_ends_at_its_first_gap(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    file = tmp_path / "paths.csv"
    file.write_text("path,fps,frame,dx,dy,angle,zoom\nA,25,1,0.1,0,0,1\nB,25,1,1,1,0,1\nA,25,2,,,,\nA,25,3,1,1,0,1\n")
    found = {way.name: way.poses for way in first_ways(file)}
    assert list(found) == ["A", "B"]
    assert found["A"] == [Similarity(), Similarity(1 + 0j, -0.1 + 0j)]


def test_a_missing_file_of_paths_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert main(["--paths", str(tmp_path / "none.csv")]) == 1
    assert "none.csv" in capsys.readouterr().err


def test_a_look_ahead_out_of_range_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--lookahead", "-1"])
    assert "--lookahead" in capsys.readouterr().err


@pytest.mark.parametrize(("share", "foreground"), [(0.6, True), (0.0, True)])
def test_most_of_the_wobble_is_undone_and_none_is_made(share: float, foreground: bool) -> None:
    frames = drawn(PATH, 75, share=share, foreground=foreground, size_hw=(240, 320))
    found = wobble_of(PATH, frames, share=share)
    if share:
        assert found.share == pytest.approx(share, rel=0.15)
        assert found.found < 0.3 * found.off and found.known < 0.3 * found.off
    else:
        assert found.share == 0 and found.found == found.off < 1e-9
