"""Bounds on a steady picture, measured on known camera paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import thread_time

import numpy as np
import numpy.typing as npt

from mostnet.video.steady.metrics import Path2d, vibration
from mostnet.video.steady.motion.estimator import MotionEstimator
from mostnet.video.steady.options import StabiliserOptions
from mostnet.video.steady.similarity import Similarity
from mostnet.video.steady.state import Correction

from .clips import KnownClip
from .methods import CROP, ours
from .shaken import SIZE_HW, TOOTH

#: First frame that counts: tracking begins with the third frame, and the correction fades in over six.
START = 20


@dataclass(frozen=True)
class Check:
    """One figure and its upper bound, or its lower bound if ``at_least`` is true."""

    name: str
    value: float
    bound: float
    unit: str = ""
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the value is within its bound; NaN is not."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def shown_views(corrections: Sequence[Correction], size_hw: tuple[int, int] = SIZE_HW) -> list[Similarity]:
    """For each frame, the map from points of the steady picture to points of the frame."""
    return [Similarity.of_matrix(correction.matrix, size_hw).inverse() for correction in corrections]


def path_array(poses: Sequence[Similarity]) -> Path2d:
    """Poses as an ``(N, 3)`` array: x and y in pixels, angle in radians."""
    return np.array([(pose.b.real, pose.b.imag, pose.angle) for pose in poses])


def stabilised_path(clip: KnownClip, lookahead: int) -> tuple[Path2d, list[Correction], float]:
    """The camera path after our stabiliser, its corrections, and its median cost per frame in milliseconds."""
    assert clip.poses is not None
    run = ours(clip.pairs, StabiliserOptions("vibration", lookahead=lookahead, crop=CROP))
    views = shown_views(run.corrections, (clip.pairs[0][0].shape[0], clip.pairs[0][0].shape[1]))
    shown = [view.then(pose) for view, pose in zip(views, clip.poses, strict=True)]
    return path_array(shown), run.corrections, run.cost_ms


def motion_cost_ms(clip: KnownClip) -> float:
    """Median processor time per frame of finding the camera's motion, in milliseconds."""
    estimator, costs = MotionEstimator(), []
    for frame, output in clip.pairs:
        begun_s = thread_time()
        estimator.step(frame, output.flow, output.mask)
        costs.append(thread_time() - begun_s)
    return float(np.median(costs)) * 1e3


def vibration_ratio(before: Path2d, after: Path2d) -> tuple[float, float]:
    """Vibration after stabilising divided by vibration before: of shift, and of angle."""
    columns = (slice(0, 2), slice(2, 3))
    shift, turn = (vibration(after[START:, c]) / vibration(before[START:, c]) for c in columns)
    return shift, turn


def lag_frames(intended: npt.NDArray[np.float64], shown: npt.NDArray[np.float64]) -> float:
    """Delay in frames, in steps of 0.25, at which ``intended`` best fits ``shown``, up to scale and offset."""
    frames = np.arange(len(shown))
    best, least = 0.0, np.inf
    for lag in np.arange(-4, 15, 0.25):
        model = np.stack([np.interp(frames - lag, frames, intended), np.ones(len(frames))], axis=1)[START:]
        left = shown[START:] - model @ np.linalg.lstsq(model, shown[START:], rcond=None)[0]
        if (error := float(left @ left)) < least:
            best, least = float(lag), error
    return best


def outside_px(corrections: Sequence[Correction], size_hw: tuple[int, int] = SIZE_HW) -> float:
    """Largest distance of the shown picture's corners beyond the frame, in pixels. Above zero, a border shows."""
    half_w, half_h = (size_hw[1] - 1) / 2, (size_hw[0] - 1) / 2
    corners = np.array([complex(x, y) for x in (-half_w, half_w) for y in (-half_h, half_h)])
    worst = -np.inf
    for view in shown_views(corrections, size_hw):
        places = view.a * corners + view.b
        worst = max(worst, np.abs(places.real).max() - half_w, np.abs(places.imag).max() - half_h)
    return float(worst)


def tooth_off_px(clip: KnownClip, corrections: Sequence[Correction], dark: range, *, after: int = 10) -> float:
    """Distance in pixels of the tooth, ``after`` frames past the dark ones, from its shown place before them."""
    assert clip.poses is not None
    views = shown_views(corrections)
    places = [view.then(pose).inverse() for view, pose in zip(views, clip.poses, strict=True)]
    tooth = np.array([place.a * TOOTH + place.b for place in places])
    return float(abs(tooth[dark.stop + after] - tooth[dark.start - 10 : dark.start].mean()))
