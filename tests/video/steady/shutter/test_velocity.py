"""The velocity of a camera whose path is a sine."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.video.steady.shutter.velocity import REACH, velocity
from mostnet.video.steady.similarity import Similarity


def test_a_pan_has_its_velocity() -> None:
    rate, shift = velocity([Similarity(1.01 + 0j, 3 - 2j)] * (2 * REACH))
    assert shift == pytest.approx(3 - 2j, rel=0.15)
    assert rate == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize(("hz", "error"), [(3, 0.1), (6, 0.1), (8, 0.15), (10, 0.25)])
def test_more_neighbours_give_the_velocity_of_fast_vibration(hz: float, error: float) -> None:
    omega = 2 * np.pi * hz / 25

    def found(reach: int, phase: float) -> float:
        places = np.sin(omega * np.arange(-reach, reach + 1) + phase)
        return velocity([Similarity(1 + 0j, complex(step)) for step in np.diff(places)])[1].real

    for phase in (0.0, 0.7):
        true = omega * np.cos(phase)
        assert found(REACH, phase) == pytest.approx(true, rel=error)
        if hz > 6:
            assert abs(found(1, phase) - true) > abs(found(REACH, phase) - true)
