"""Simple steady paths to compare ours with. Each works on known poses and stays within the crop by a soft limit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mostnet.video.steady.border import SOFT_KNEE, limited
from mostnet.video.steady.paths.horizon import view_of
from mostnet.video.steady.paths.least_energy import kernel
from mostnet.video.steady.room import rate_room, shift_room
from mostnet.video.steady.similarity import Similarity

Floats = npt.NDArray[np.float64]

#: Frames before the shown one that an average reads.
PAST = 60
#: Weights of speed, acceleration and its change in M. Grundmann, V. Kwatra and I. Essa, "Auto-Directed Video
#: Stabilization with Robust L1 Optimal Camera Paths" (CVPR 2011).
_L1_WEIGHTS = (10.0, 1.0, 100.0)
_L1_STEPS, _L1_FRAMES, _L1_SLACK = 15, 25, 0.05
#: The L1 path's wall at the crop, as in ``video/steady/paths/solver.py``.
_WALL, _POWER = 3000.0, 20


class Around:
    """Poses of a clip relative to each of its frames: x, y, log-scale and angle."""

    def __init__(self, poses: Sequence[Similarity]) -> None:
        self._rates = np.array([pose.a for pose in poses])
        self._shifts = np.array([pose.b for pose in poses])

    def __len__(self) -> int:
        return len(self._rates)

    def of(self, frame: int, past: int, ahead: int) -> Floats:
        """``(past + 1 + ahead, 4)``, oldest first; the first and last frame of the clip stand for those beyond."""
        which = np.clip(np.arange(frame - past, frame + ahead + 1), 0, len(self) - 1)
        rates = self._rates[which] / self._rates[frame]
        shifts = (self._shifts[which] - self._shifts[frame]) / self._rates[frame]
        return np.stack([shifts.real, shifts.imag, np.log(np.abs(rates)), np.angle(rates)], axis=1)


def averaged(around: Around, weights: Floats, *, ahead: int, size_hw: tuple[int, int], crop: float) -> list[Similarity]:
    """Views of a weighted average of the path; ``weights`` ``(PAST + 1 + ahead,)``, oldest first."""
    views = (view_of(weights @ around.of(k, PAST, ahead)) for k in range(len(around)))
    return [limited(view, size_hw, crop, knee=SOFT_KNEE) for view in views]


def gaussian(sigma: float, ahead: int) -> Floats:
    """Weights of a Gaussian that is cut off after ``ahead`` frames of the future."""
    weights = np.exp(-0.5 * (np.arange(-PAST, ahead + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum(), np.float64)


def least_energy(stop: float, lag: float, ahead: int) -> Floats:
    """Weights of the least energy above ``stop`` cycles per frame."""
    return kernel(PAST + 1 + ahead, ahead, lag, stop)[::-1]


def kalman(around: Around, *, gain: float, dead_px: float, size_hw: tuple[int, int], crop: float) -> list[Similarity]:
    """A Kalman filter of constant speed in its steady state, which ignores errors within a dead band."""
    band = np.array([1, 1, 2 / max(size_hw), 2 / max(size_hw)]) * dead_px
    speed_gain = gain**2 / (2 - gain)
    offset, speed, views = np.zeros(4), np.zeros(4), []
    for k in range(len(around)):
        if k:
            offset = offset + around.of(k, 1, 0)[0] + speed  # the steady pose, seen from this frame
        beyond = -np.sign(offset) * np.maximum(np.abs(offset) - band, 0)
        offset, speed = offset + gain * beyond, speed + speed_gain * beyond
        view = limited(view_of(offset), size_hw, crop, knee=SOFT_KNEE)
        views.append(view)
    return views


def least_absolute(around: Around, *, ahead: int, size_hw: tuple[int, int], crop: float) -> list[Similarity]:
    """L1-optimal paths over a window from the shown frame on, by iteratively reweighted least squares."""
    frames = max(1 + ahead, _L1_FRAMES)
    room = np.array([*shift_room(1.0, size_hw, crop), *rate_room(size_hw, crop)], np.float64)
    scale = np.array([1, 1, 2 / max(size_hw), 2 / max(size_hw)])
    views: list[Similarity] = []
    offsets = np.zeros((frames, 4))
    shown = np.zeros((3, 4))
    for k in range(len(around)):
        shown = shown + (around.of(k, 1, 0)[0] if k else 0)
        camera = np.concatenate([around.of(k, 0, ahead), np.zeros((frames, 4))])[:frames]
        camera[1 + ahead :] = camera[ahead]
        guess = np.concatenate([offsets[1:], offsets[-1:]])
        offsets = np.stack([_window(*one) for one in zip(camera.T, shown.T, guess.T, room, scale, strict=True)], axis=1)
        views.append(limited(view_of(offsets[0]), size_hw, crop))
        shown = np.concatenate([shown[1:], offsets[:1]])
    return views


def _window(camera: Floats, shown: Floats, guess: Floats, room: float, scale: float) -> Floats:
    """Offsets of the L1 path from the camera's for one coordinate."""
    offsets = np.clip(guess, -0.9 * room, 0.9 * room)
    for _ in range(_L1_STEPS):
        path = np.concatenate([shown, camera + offsets])
        system, slope = np.zeros((len(camera), len(camera))), np.zeros(len(camera))
        for weight, matrix in zip(_L1_WEIGHTS, _differences(len(camera)), strict=True):
            change = matrix @ path
            trust = weight * scale / np.sqrt(change**2 + (_L1_SLACK * scale) ** 2)
            inner = matrix[:, len(shown) :]
            system += inner.T @ (trust[:, None] * inner)
            slope += inner.T @ (trust * change)
        steep = _WALL * np.abs(offsets / room) ** (_POWER - 2)
        system += np.diag((_POWER - 1) * steep + 1e-3)
        offsets = np.clip(offsets - np.linalg.solve(system, slope + (steep + 1e-3) * offsets), -1.2 * room, 1.2 * room)
    return np.asarray(np.clip(offsets, -room, room), np.float64)


@lru_cache(maxsize=4)
def _differences(frames: int) -> tuple[Floats, ...]:
    """First to third differences of three shown frames and those of the window."""
    return tuple(np.diff(np.eye(frames + 3), n=order, axis=0)[3 - order :] for order in (1, 2, 3))
