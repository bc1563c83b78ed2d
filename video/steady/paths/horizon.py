"""Steady paths that are planned within the crop, a window of frames at a time, and committed frame by frame."""

from __future__ import annotations

import cmath
import math

import numpy as np

from mostnet.video.steady.room import rate_room, shift_room, used
from mostnet.video.steady.similarity import Similarity

from .forecast import STEPS, forecast
from .solver import PAST, Floats, PathSolver, Smoothness

#: Frames that a window spans at least; a forecast fills those that have not come yet.
_LEAST_FRAMES = 25
#: Newton steps of the first window of a path, which has no earlier one to start from.
_FIRST_STEPS = 12

# Coordinates of a pose: shift x and y in pixels, log-scale, angle in radians.
_SHIFT, _RATE = slice(0, 2), slice(2, 4)


class HorizonPath:
    """Plans the steady path over the waiting frames and a forecast, and commits the oldest one."""

    def __init__(self, smoothness: Smoothness, *, lookahead: int = 0, pace: float = 1.0) -> None:
        """``lookahead``: most frames that wait besides the newest; ``pace``: frame rate over 25 per second."""
        self._solver = PathSolver(max(1 + lookahead, _LEAST_FRAMES), smoothness)
        self._pace = pace
        self._lookahead = lookahead
        self.restart()

    def restart(self) -> None:
        """Forget the path; the next frame starts a new one."""
        self._camera: list[Similarity] = []  # poses of the waiting frames, from frame to newest frame
        self._shown: list[Similarity] = []  # poses of the steady pictures of the last frames
        self._steps = np.zeros((STEPS, 4))
        self._guess: Floats | None = None
        self._plan: Floats | None = None
        self._planned_crop = 0.0

    def push(self, motion: Similarity) -> None:
        """Add a frame; ``motion`` takes its points to the previous frame."""
        back = motion.inverse()
        self._camera = [*(pose.then(back) for pose in self._camera), Similarity()]
        self._shown = [pose.then(back) for pose in self._shown]
        self._steps = np.concatenate([[_coordinates(motion)], self._steps[:-1]])
        self._plan = None

    def continue_from(self, view: Similarity) -> None:
        """Let the path go on from a view of the newest frame that was held until now."""
        self._shown = [view] * PAST
        self._plan = None

    @property
    def waiting(self) -> int:
        """Frames whose view is not committed yet."""
        return len(self._camera)

    def use(self, size_hw: tuple[int, int], crop: float) -> float:
        """Largest share of the room that the waiting frames would use with a crop."""
        return max(used(view_of(offset), size_hw, crop) for offset in self._solve(size_hw, crop)[: self.waiting])

    def newest(self, size_hw: tuple[int, int], crop: float) -> Similarity:
        """The planned view of the newest frame; a later frame may change it."""
        return view_of(self._planned(size_hw, crop)[self.waiting - 1])

    def commit(self, size_hw: tuple[int, int], crop: float) -> Similarity:
        """The view of the oldest waiting frame, from the steady picture to the frame."""
        plan = self._planned(size_hw, crop)
        view = view_of(plan[0])
        self._shown = [*self._shown, view.then(self._camera.pop(0))][-PAST:]
        if not self._lookahead and len(self._shown) == 1:
            self._shown *= PAST  # a live path starts at rest
        self._guess = np.concatenate([plan[1:], plan[-1:]])
        self._plan = None
        return view

    def _planned(self, size_hw: tuple[int, int], crop: float) -> Floats:
        """Offsets of the steady path from the camera's ``(frames, 4)``, from the oldest waiting frame on."""
        if self._plan is None or self._planned_crop != crop:
            self._plan, self._planned_crop = self._solve(size_hw, crop), crop
        return self._plan

    def _solve(self, size_hw: tuple[int, int], crop: float) -> Floats:
        camera, shown = self._relative()
        guess, steps = (self._guess, None) if self._guess is not None else (np.zeros_like(camera), _FIRST_STEPS)
        room = np.empty_like(camera)
        room[:, _RATE] = rate_room(size_hw, crop)
        offsets = np.empty_like(camera)
        for part in (_RATE, _SHIFT):
            if part is _SHIFT:
                rates = np.exp(offsets[:, 2] + 1j * offsets[:, 3])
                room[:, _SHIFT] = np.stack(shift_room(rates, size_hw, crop), axis=1)
            found = self._solver.plan(camera[:, part], shown[:, part], room[:, part], guess[:, part], steps=steps)
            found[0] = np.clip(found[0], -room[0, part], room[0, part])
            offsets[:, part] = np.clip(found, -room[:, part], room[:, part]) if part is _RATE else found
        return offsets

    def _relative(self) -> tuple[Floats, Floats]:
        """Poses relative to the oldest waiting frame: of the camera from there on ``(frames, 4)``, and shown ones."""
        origin = self._camera[0].inverse()
        camera = np.array([_coordinates(pose.then(origin)) for pose in self._camera])
        camera[:, 3] = np.unwrap(camera[:, 3])  # an endoscope may roll by more than half a turn within the window
        shown = np.array([_coordinates(pose.then(origin)) for pose in self._shown]).reshape(-1, 4)
        return self._ahead(camera, origin), shown

    def _ahead(self, known: Floats, origin: Similarity) -> Floats:
        """The known path, continued by its forecast to the length of the window."""
        missing = self._solver.frames - len(known)
        if missing <= 0:
            return known[: self._solver.frames]
        steps = self._steps.copy()
        turned = origin.a * (steps[:, 0] + 1j * steps[:, 1])  # the newest frame may be rotated against the oldest
        steps[:, 0], steps[:, 1] = turned.real, turned.imag
        return np.concatenate([known, known[-1] + forecast(missing, self._pace) @ steps])


def _coordinates(pose: Similarity) -> tuple[float, float, float, float]:
    return pose.b.real, pose.b.imag, math.log(abs(pose.a)), cmath.phase(pose.a)


def view_of(offset: Floats) -> Similarity:
    """The view of an offset in x, y, log-scale and angle."""
    x, y, zoom, angle = (float(value) for value in offset)
    return Similarity(cmath.exp(complex(zoom, angle)), complex(x, y))
