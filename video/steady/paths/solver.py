"""The smoothest path within the crop over a short window of frames.

The path ``s`` stays near the camera's path ``p`` and moves little, evenly and inside the crop. It minimises

``sum (slow |s'|)^2 + (even^2 |s''|)^2 + pull |s - p|^2 + wall room^2 |(s - p) / room|^power``

by Newton steps. The last term is the soft wall of the crop. Frames that were shown already are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Shown frames that the path continues.
PAST = 2
#: A step may leave the crop by this share; the wall brings it back.
_BEYOND = 1.2
#: First guesses stay this far inside the crop.
_INSIDE = 0.95


@dataclass(frozen=True)
class Smoothness:
    """Weights of the terms.

    Attributes:
        slow: time constant against speed, in frames.
        even: time constant against acceleration, in frames.
        pull: weight of the distance from the camera's path.
        wall: weight of the wall.
        power: steepness of the wall, even.
        steps: Newton steps per frame.
    """

    slow: float
    even: float
    pull: float
    wall: float
    power: int
    steps: int


class PathSolver:
    """Plans the path of ``frames`` frames at once."""

    def __init__(self, frames: int, smoothness: Smoothness) -> None:
        self.frames = frames
        self._weights = smoothness
        self._energies = [_energy(frames, known, smoothness) for known in range(PAST + 1)]

    def plan(self, camera: Floats, shown: Floats, room: Floats, start: Floats, *, steps: int | None = None) -> Floats:
        """Offsets of the steady path from the camera's, ``(frames, C)`` for C independent coordinates.

        Args:
            camera: the camera's path, ``(frames, C)``.
            shown: the frames shown last, oldest first, ``(0 to PAST, C)``. With none, the path starts freely.
            room: largest offset, above zero, ``(frames, C)``.
            start: first guess of the result.
            steps: Newton steps; None takes those of the smoothness.
        """
        weights = self._weights
        smooth, carried = self._energies[len(shown)]
        fixed = smooth @ camera + carried @ shown
        offsets = np.clip(start, -_INSIDE * room, _INSIDE * room)
        curve = weights.wall * (weights.power - 1)
        for _ in range(weights.steps if steps is None else steps):
            steep = np.abs(offsets / room) ** (weights.power - 2)
            slope = fixed + smooth @ offsets + (weights.pull + weights.wall * steep) * offsets
            bend = (weights.pull + curve * steep).T
            system = np.repeat(smooth[None], len(bend), axis=0)
            system.reshape(len(bend), -1)[:, :: self.frames + 1] += bend
            step = np.linalg.solve(system, slope.T[..., None])[..., 0].T
            offsets = np.clip(offsets - step, -_BEYOND * room, _BEYOND * room)
        return np.asarray(offsets, np.float64)


def _energy(frames: int, known: int, weights: Smoothness) -> tuple[Floats, Floats]:
    """Matrices ``(frames, frames)`` and ``(frames, known)`` of the speed and acceleration terms."""
    total = np.zeros((known + frames, known + frames))
    for order, weight in ((1, weights.slow), (2, weights.even)):
        if frames + known > order:
            differences = np.diff(np.eye(known + frames), n=order, axis=0)
            total += weight ** (2 * order) * differences.T @ differences
    return total[known:, known:], total[known:, :known]
