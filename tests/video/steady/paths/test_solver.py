"""The planned path against its energy, written out term by term."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.video.steady.paths.solver import PathSolver, Smoothness

_WEIGHTS = Smoothness(slow=6, even=3, pull=0.2, wall=4, power=6, steps=30)
_FRAMES = 20


def _energy(offsets: np.ndarray, camera: np.ndarray, shown: np.ndarray, room: np.ndarray) -> float:
    path = np.concatenate([shown, camera + offsets])
    total = 0.0
    for k in range(1, len(path)):
        total += (_WEIGHTS.slow * (path[k] - path[k - 1])) ** 2 / 2
    for k in range(2, len(path)):
        total += (_WEIGHTS.even**2 * (path[k] - 2 * path[k - 1] + path[k - 2])) ** 2 / 2
    for offset, most in zip(offsets, room, strict=True):
        total += _WEIGHTS.pull * offset**2 / 2
        total += _WEIGHTS.wall * most**2 * abs(offset / most) ** _WEIGHTS.power / _WEIGHTS.power
    return total


@pytest.mark.parametrize("known", [0, 1, 2])
def test_no_other_path_has_less_energy(known):
    rng = np.random.default_rng(known)
    camera, shown = np.cumsum(rng.normal(0, 4, _FRAMES)), rng.normal(0, 3, known)
    room = rng.uniform(8, 15, _FRAMES)
    found = PathSolver(_FRAMES, _WEIGHTS).plan(camera[:, None], shown[:, None], room[:, None], np.zeros((_FRAMES, 1)))
    least = _energy(found[:, 0], camera, shown, room)
    for _ in range(200):
        other = found[:, 0] + rng.normal(0, 0.05, _FRAMES)
        assert _energy(other, camera, shown, room) > least


def test_coordinates_are_independent():
    rng = np.random.default_rng(3)
    solver, room = PathSolver(_FRAMES, _WEIGHTS), np.full((_FRAMES, 2), 10.0)
    camera, shown, start = rng.normal(0, 5, (_FRAMES, 2)), rng.normal(0, 5, (2, 2)), np.zeros((_FRAMES, 2))
    both = solver.plan(camera, shown, room, start)
    for c in range(2):
        one = (slice(None), slice(c, c + 1))
        assert solver.plan(camera[one], shown[one], room[one], start[one]) == pytest.approx(both[one], abs=1e-9)
