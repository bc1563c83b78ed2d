"""The readout that is found from exact and from spoiled matches."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.video.steady.shutter.estimator import ShutterEstimator, shear_of

from .samples import POINTS, SIZE_HW, run, shaking


def _shares(seen: list, *, reach: int = 3) -> list[float]:
    estimator = ShutterEstimator(reach=reach)
    shares = []
    for motion, matches in seen:
        estimator.push(motion, matches, height_px=SIZE_HW[0])
        shares.append(estimator.share)
    return shares


@pytest.mark.parametrize("share", [0.25, 0.6, 0.9, -0.6])
def test_the_readout_is_found(share: float) -> None:
    shares = _shares(run(shaking(px=3), 60, share))
    assert shares[-1] == pytest.approx(share, rel=0.15)
    assert shares[:20] == [0.0] * 20


def test_one_neighbour_is_enough() -> None:
    assert _shares(run(shaking(hz=4), 60, 0.6), reach=1)[-1] == pytest.approx(0.6, rel=0.3)


def test_noise_and_wrong_matches_do_not_change_it() -> None:
    rng = np.random.default_rng(0)

    def spoil(frame: int, moved: np.ndarray) -> np.ndarray:
        moved = moved + 0.2 * (rng.normal(size=moved.shape) + 1j * rng.normal(size=moved.shape))
        moved[:40] += 12 * np.exp(1j * frame)
        return moved

    assert _shares(run(shaking(), 80, 0.6, spoil))[-1] == pytest.approx(0.6, rel=0.2)
    assert _shares(run(shaking(), 80, 0.0, spoil)) == [0.0] * 80


def _tilted(frame: int, moved: np.ndarray) -> np.ndarray:
    """The matches of a plane that is nearer at the lower edge, and so moves more there."""
    return POINTS + (moved - POINTS) * (1 + 0.4 * POINTS.imag / 120)


def test_a_global_shutter_is_left_alone_exactly() -> None:
    assert _shares(run(shaking(), 120, 0.0)) == [0.0] * 120
    assert _shares(run(shaking(), 120, 0.0, _tilted)) == [0.0] * 120


def test_a_tilted_plane_does_not_hide_the_readout() -> None:
    assert _shares(run(shaking(), 120, 0.6, _tilted))[-1] == pytest.approx(0.6, rel=0.25)


def test_vibration_too_small_to_show_is_left_alone() -> None:
    assert _shares(run(shaking(px=0.2), 80, 0.6)) == [0.0] * 80


def test_frames_of_unknown_motion_are_bridged() -> None:
    estimator = ShutterEstimator()
    for frame, (motion, matches) in enumerate(run(shaking(), 120, 0.6)):
        if frame % 30 == 29:
            estimator.restart()
        else:
            estimator.push(motion, matches if frame % 2 else None, height_px=SIZE_HW[0])
    assert estimator.share == pytest.approx(0.6, rel=0.2)


def test_few_matches_show_no_shear() -> None:
    assert shear_of(POINTS[:39], POINTS[:39]) is None
    assert shear_of(POINTS, POINTS + 0.01j * POINTS.conj()) == pytest.approx(0.01j)
