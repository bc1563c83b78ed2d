"""The camera's motion, confirmed by the pictures.

Several estimates propose a motion. The one under which the two pictures differ least is refined, and it counts only if
most of the textured picture agrees with it. Feature tracks and dense flow cost more, so they are asked only if the
estimates from the engine's flow do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND, Frame
from mostnet.video.steady.similarity import Points, Similarity, Weights

from .alignment import agreement, difference, refined
from .black_frame import BlackFrame
from .flow_fit import MIN_TOOTH, Flow, Mask, frame_motion, plausible, teeth_motion
from .lens_pattern import LensPattern
from .pyramid import Level, Picture, Pyramid
from .step import UNKNOWN, Step
from .tracks import Tracks, dense_tracks, feature_tracks, fitted

#: Weight of a pixel that is not tooth, if enough tooth is in view.
_ELSEWHERE = 0.25
#: Weight of a pixel at the edge of the frame; one in the middle has 1.
_AT_EDGE = 0.3
#: Share of the textured picture that must agree with a motion.
_FITS, _FITS_WELL = 0.5, 0.75
_COARSE_STEPS, _FINE_STEPS = 8, 3
#: The motion through the keyframe may fit the frame before worse than the rough one by this factor.
_KEYFRAME_SLACK = 1.05

#: A frame that lies farther from the keyframe becomes the next one: share of the height, log-scale, radians.
_KEYFRAME_SHIFT, _KEYFRAME_ZOOM, _KEYFRAME_TURN = 0.25, 0.15, 0.2

Candidate = tuple[str, Similarity | None]


class _Weights(NamedTuple):
    """Weights of the samples of both levels, and the pixels that they favour, ``teeth`` or ``frame``."""

    fine: Picture
    coarse: Picture
    source: str


class Keyframe(NamedTuple):
    """An earlier frame that later ones are matched with, so that errors do not add up while the view stays on it.

    Attributes:
        pyramid: its pictures.
        motion: takes points of the newest frame to it.
    """

    pyramid: Pyramid
    motion: Similarity

    def covers(self, motion: Similarity) -> bool:
        """Whether enough of a frame lies in the keyframe to match them."""
        room = _KEYFRAME_SHIFT * min(self.pyramid.frame_hw)
        return (
            abs(motion.b) <= room
            and abs(math.log(motion.scale)) <= _KEYFRAME_ZOOM
            and abs(motion.angle) <= _KEYFRAME_TURN
        )


class MotionEstimator:
    """Finds the motion from each frame to the one before."""

    def __init__(self) -> None:
        self._frame, self._lens = BlackFrame(), LensPattern()
        self._before: Pyramid | None = None
        self._last: Pyramid | None = None
        self._used: _Weights | None = None
        self._motion = Similarity()
        self._keyframe: Keyframe | None = None

    def forget(self) -> None:
        """Start a new clip: the next frame has no frame before it."""
        self._before = self._last = self._used = self._keyframe = None
        self._motion = Similarity()
        self._frame, self._lens = BlackFrame(), LensPattern()

    def step(self, frame: Frame, flow: Flow | None, mask: Mask) -> Step:
        """The motion of a frame; unknown for the first one, and if no estimate fits.

        Args:
            frame: uint8 ``(H, W, 3)`` BGR.
            flow: the engine's backward flow, float32 ``(2, H, W)`` in pixels; None if it is meaningless for this frame.
            mask: the engine's teeth, uint8 ``(H, W)``.
        """
        last, now = self._last, Pyramid(frame, self._lens.picture)
        self._before, self._last = last, now
        step = UNKNOWN if last is None or last.frame_hw != now.frame_hw else self._found(last, now, flow, mask)
        self._motion = step.motion
        if not step.known:
            self._keyframe = None
        elif last is not None:
            self._lens.learn(last.coarse, now.coarse, step.motion)
        return step

    def tracks(self) -> Tracks | None:
        """Corners of the newest frame, and their places in the one before; None with too few, or if it is the first."""
        return None if self._before is None or self._last is None else feature_tracks(self._before, self._last)

    def support(self) -> tuple[Points, Weights]:
        """The points that decided the newest motion, complex ``(N,)``, and their weights; none before the first."""
        if self._last is None or self._used is None:
            return np.zeros(0, np.complex128), np.zeros(0)
        level = self._last.coarse
        along_x, along_y = level.slopes[2:]
        weights = self._used.coarse.ravel() * (along_x**2 + along_y**2)
        return level.points(), weights.astype(np.float64)

    def _found(self, last: Pyramid, now: Pyramid, flow: Flow | None, mask: Mask) -> Step:
        weights = self._used = _weights(mask, now, self._frame.inside(now))
        best = UNKNOWN
        for candidates in self._stages(last, now, flow, mask):
            step = _best_of(candidates, last, now, weights)
            if step.inliers > best.inliers:
                best = step
            if best.inliers >= _FITS_WELL:
                break
        return self._sharpened(best, last, now, weights) if best.inliers >= _FITS else UNKNOWN

    def _sharpened(self, step: Step, last: Pyramid, now: Pyramid, weights: _Weights) -> Step:
        """The step refined on the fine pictures: against the keyframe, or if that fits worse, against the last frame.

        Unknown if the motion is implausibly large then.
        """

        def apart(motion: Similarity) -> float:
            return difference(last.fine, now.fine, motion, weights.fine)

        keyframe = self._keyframe or Keyframe(last, Similarity())
        to_key = refined(
            keyframe.pyramid.fine, now.fine, step.motion.then(keyframe.motion), weights.fine, steps=_FINE_STEPS
        )
        motion, before = to_key.then(keyframe.motion.inverse()), apart(step.motion)
        residual = apart(motion)
        self._keyframe = Keyframe(keyframe.pyramid, to_key)
        if residual > _KEYFRAME_SLACK * before or not keyframe.covers(to_key):
            motion = refined(last.fine, now.fine, step.motion, weights.fine, steps=_FINE_STEPS)
            motion, residual = min(((motion, apart(motion)), (step.motion, before)), key=lambda found: found[1])
            self._keyframe = Keyframe(now, Similarity())
        return replace(step, motion=motion, residual=residual) if plausible(motion, now.frame_hw) else UNKNOWN

    def _stages(self, last: Pyramid, now: Pyramid, flow: Flow | None, mask: Mask) -> Iterator[list[Candidate]]:
        """Estimates, the cheap ones first; each stage is computed when it is asked for."""
        simple: list[Candidate] = [("previous", self._motion), ("still", Similarity())]
        teeth = None if flow is None else teeth_motion(flow, mask)
        if flow is None or teeth is not None:
            yield [("flow on teeth", teeth), *simple]
        if flow is not None:
            yield [("flow", frame_motion(flow)), *(simple if teeth is None else ())]
        yield [("dense", fitted(dense_tracks(last, now))), ("tracks", fitted(feature_tracks(last, now)))]


def _best_of(candidates: list[Candidate], last: Pyramid, now: Pyramid, weights: _Weights) -> Step:
    """The candidate under which the coarse pictures differ least, refined, with the share that agrees with it."""
    known = [(name, motion) for name, motion in candidates if motion is not None]
    if not known:
        return UNKNOWN
    apart = [difference(last.coarse, now.coarse, motion, weights.coarse) for _, motion in known]
    name, start = known[int(np.argmin(apart))]
    motion = refined(last.coarse, now.coarse, start, weights.coarse, steps=_COARSE_STEPS)
    inliers = agreement(last.coarse, now.coarse, motion, weights.coarse)
    return Step(motion, weights.source, name, inliers, min(apart))


def _weights(mask: Mask, now: Pyramid, inside: Picture) -> _Weights:
    """The middle counts more than the edge, and teeth count more than the rest if enough of them is in view."""
    teeth = _resized(mask, now.fine)
    source = "teeth" if (teeth >= FOREGROUND).mean() >= MIN_TOOTH else "frame"
    if source == "teeth":
        inside = inside * (_ELSEWHERE + (1 - _ELSEWHERE) / 255 * _resized(teeth, now.coarse))
    fine, coarse = (_middle(level.grid.size_hw) * _resized(inside, level) for level in (now.fine, now.coarse))
    return _Weights(fine, coarse, source)


@lru_cache(maxsize=8)
def _middle(size_hw: tuple[int, int]) -> Picture:
    """A window that is one in the middle and ``_AT_EDGE`` at the edge, float32 ``(h, w)``."""
    down, across = (np.hanning(side + 2)[1:-1] for side in size_hw)
    window: Picture = (_AT_EDGE + (1 - _AT_EDGE) * down[:, None] * across).astype(np.float32)
    window.setflags(write=False)
    return window


def _resized(mask: npt.NDArray[np.generic], level: Level) -> Picture:
    small = cv2.resize(np.asarray(mask), level.grid.size_hw[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)
