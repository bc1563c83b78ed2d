"""The comparison of steady paths."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.bench.steady.averages import PAST, Around, averaged, gaussian, least_energy
from mostnet.bench.steady.filters import SIZE_HW, filters, main, measure_filter
from mostnet.bench.steady.recordings import Way, drawn_ways
from mostnet.video.steady.room import used
from mostnet.video.steady.similarity import Similarity

CROP = 0.15


@pytest.fixture(scope="module")
def ways() -> list[Way]:
    """One drawn path of a hand."""
    return drawn_ways(frames=90)[:1]


@pytest.mark.parametrize("lookahead", [0, 8])
def test_every_filter_stays_within_the_crop_and_steadies(ways: list[Way], lookahead: int) -> None:
    poses = [Similarity(pose.a, pose.b * SIZE_HW[0]) for pose in ways[0].poses]
    for one in filters(lookahead):
        views = one.views(poses, CROP)
        assert len(views) == len(poses)
        assert max(max(abs(view.b.real), abs(view.b.imag)) for view in views) <= CROP * SIZE_HW[1] / 2
        row = measure_filter(one, ways, crop=CROP)
        assert row.ratios[0] < (1.3 if one.name == "vibration" else 0.7)
    assert used(views[-1], SIZE_HW, CROP) <= 1 + 1e-9


def test_poses_are_seen_from_the_frame() -> None:
    poses = [Similarity(1 + 0j, complex(3 * k, -k)) for k in range(10)]
    seen = Around(poses).of(4, 2, 3)
    assert seen[:, 0] == pytest.approx([-6, -3, 0, 3, 6, 9])
    assert seen[:, 1] == pytest.approx([2, 1, 0, -1, -2, -3])
    assert Around(poses).of(0, 2, 0)[:, 0] == pytest.approx([0, 0, 0]), "the first frame stands for those before"


@pytest.mark.parametrize("weights", [gaussian(12.0, 0), gaussian(12.0, 30), least_energy(0.02, 10.0, 0)])
def test_weights_sum_to_one_so_that_a_still_camera_stays(weights: np.ndarray) -> None:
    assert weights.sum() == pytest.approx(1)
    ahead = len(weights) - PAST - 1
    still = Around([Similarity(1 + 0j, 50 + 20j)] * 5)
    assert np.abs(averaged(still, weights, ahead=ahead, size_hw=SIZE_HW, crop=CROP)[2].b) < 1e-9


def test_the_command_prints_the_table_and_draws(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "p.png"
    assert main(["--frames", "50", "--lookahead", "0", "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert "Kalman with dead band" in printed
    assert "hold" in printed
    assert plot.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--crop", "0"], "crop is 0.0; expected 0.02 to 0.5"),
        (["--lookahead", "0", "99"], "lookahead is 99; expected 0 to 60 frames"),
        (["--frames", "3"], "3 frames are too few; expected at least 40"),
    ],
)
def test_wrong_options_are_refused(arguments: list[str], text: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert text in capsys.readouterr().err
