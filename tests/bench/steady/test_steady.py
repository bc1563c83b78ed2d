"""The measures and methods of the stabiliser's benchmark, on clips with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.bench.steady import report as steady_report
from mostnet.bench.steady.checks import Check, lag_frames, outside_px
from mostnet.bench.steady.clips import measured
from mostnet.bench.steady.methods import deshake, moving_average, ours, unsteady
from mostnet.bench.steady.shaken import SIZE_HW, Shake, jitter, render, tooth_mask, true_flow, world
from mostnet.video import StabiliserOptions
from mostnet.video.steady.metrics import measure
from mostnet.video.steady.similarity import Similarity

COUNT = 26


@pytest.fixture(scope="module")
def shaking() -> list[np.ndarray]:
    """Rendered frames of a shaking camera."""
    rng = np.random.default_rng(0)
    scene = world(rng)
    return [render(scene, pose) for pose in jitter(COUNT, rng, Shake())]


def test_jitter_has_its_strength_and_no_low_frequencies() -> None:
    poses = jitter(400, np.random.default_rng(0), Shake(shift_px=2.0, turn_deg=0.5))
    shifts = np.array([pose.b for pose in poses])
    assert shifts.real.std() == pytest.approx(2, rel=0.02)
    assert np.degrees(np.std([pose.angle for pose in poses])) == pytest.approx(0.5, rel=0.02)
    spectrum = np.abs(np.fft.fft(shifts))
    low = np.abs(np.fft.fftfreq(400)) < 0.15
    assert spectrum[low].max() < 1e-9 * spectrum.max()


def test_the_true_flow_matches_the_pictures() -> None:
    scene = world(np.random.default_rng(1))
    before, now = Similarity(1 + 0j, 2 + 1j), Similarity(np.exp(0.01 + 0.01j).item(), 6 - 3j)
    pairs = measured([render(scene, before), render(scene, now)])
    found, true = pairs[1][1].flow, true_flow(before, now)
    tooth = tooth_mask(now) > 250
    tooth[:60] = tooth[-60:] = False
    assert found is not None
    assert np.median(np.abs(found - true)[:, tooth]) < 0.3


def test_every_method_steadies(shaking: list[np.ndarray]) -> None:
    before = measure(unsteady(shaking)[12:]).vibration_px
    run = ours(measured(shaking), StabiliserOptions("vibration", crop=0.1))
    assert measure(run.pictures[12:]).vibration_px < 0.3 * before
    assert outside_px(run.corrections) <= 0
    assert measure(moving_average(shaking, past=5, future=5)[12:]).vibration_px < 0.4 * before
    assert measure(deshake(shaking)[12:]).vibration_px < 0.7 * before


@pytest.mark.parametrize("lag", [0.0, 2.0, 4.5])
def test_lag_is_recovered_through_a_change_of_scale(lag: float) -> None:
    frame = np.arange(120.0)
    assert lag_frames(np.sin(frame / 15), 1.11 * np.sin((frame - lag) / 15) + 40) == pytest.approx(lag, abs=0.26)


def test_a_visible_border_is_detected() -> None:
    frame = np.zeros((*SIZE_HW, 3), np.uint8)
    run = ours(measured([frame, frame]), StabiliserOptions(crop=0.1, border="crop"))
    assert outside_px(run.corrections) == pytest.approx(-0.05 * (SIZE_HW[0] - 1), abs=0.1)
    aside = np.array([[0, 0, 50.0], [0, 0, 0]])
    moved = run.corrections[1]._replace(matrix=run.corrections[1].matrix + aside)
    assert outside_px([moved]) == pytest.approx(50 * 0.9 - 0.05 * (SIZE_HW[1] - 1), abs=0.1)


def test_bounds() -> None:
    assert Check("a", 0.25, 0.25).passed and not Check("a", 0.26, 0.25).passed
    assert Check("b", 3.0, 3.0, at_least=True).passed and not Check("b", 2.9, 3.0, at_least=True).passed
    assert not Check("c", float("nan"), 1.0).passed and not Check("c", float("nan"), 1.0, at_least=True).passed


def test_too_few_frames_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        steady_report.main(["--frames", "15"])
    assert "15 frames are too few; expected at least 110" in capsys.readouterr().err


@pytest.mark.parametrize("shake", ["nan", "-1", "0"])
def test_a_shake_of_no_size_is_refused(shake: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        steady_report.main(["--shake-px", shake, "--parts", "moved", "--frames", "x"])
    assert f"argument --shake-px: '{shake}' is not a number above 0" in capsys.readouterr().err
