"""The camera's motion, confirmed by the pictures.

Several estimates propose a motion. The one under which the two pictures differ least is refined, and it counts only if
most of the textured picture agrees with it. Feature tracks and dense flow cost more, so they are asked only if the
estimates from the engine's flow do not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND, Frame
from mostnet.video.steady.similarity import Similarity

from .alignment import agreement, difference, refined
from .black_frame import BlackFrame
from .flow_fit import MIN_TOOTH, Flow, Mask, frame_motion, plausible, teeth_motion
from .pyramid import Level, Picture, Pyramid
from .step import UNKNOWN, Step
from .tracks import dense_tracks, feature_tracks, fitted

#: Weight of a pixel that is not tooth, if enough tooth is in view.
_ELSEWHERE = 0.25
#: Weight of a pixel at the edge of the frame; one in the middle has 1.
_AT_EDGE = 0.3
#: Share of the textured picture that must agree with a motion.
_FITS, _FITS_WELL = 0.5, 0.75
_COARSE_STEPS, _FINE_STEPS = 8, 3

Candidate = tuple[str, Similarity | None]


class _Weights(NamedTuple):
    """Weights of the samples of both levels, and the pixels that they favour, ``teeth`` or ``frame``."""

    fine: Picture
    coarse: Picture
    source: str


class MotionEstimator:
    """Finds the motion from each frame to the one before."""

    def __init__(self) -> None:
        self._frame = BlackFrame()
        self._last: Pyramid | None = None
        self._motion = Similarity()

    def forget(self) -> None:
        """Start a new clip: the next frame has no frame before it."""
        self._last, self._motion = None, Similarity()
        self._frame = BlackFrame()

    def step(self, frame: Frame, flow: Flow | None, mask: Mask) -> Step:
        """The motion of a frame; unknown for the first one, and if no estimate fits.

        Args:
            frame: uint8 ``(H, W, 3)`` BGR.
            flow: the engine's backward flow, float32 ``(2, H, W)`` in pixels; None if it is meaningless for this frame.
            mask: the engine's teeth, uint8 ``(H, W)``.
        """
        last, now = self._last, Pyramid(frame)
        self._last = now
        step = UNKNOWN if last is None or last.frame_hw != now.frame_hw else self._found(last, now, flow, mask)
        self._motion = step.motion
        return step

    def _found(self, last: Pyramid, now: Pyramid, flow: Flow | None, mask: Mask) -> Step:
        weights = _weights(mask, now, self._frame.inside(now))
        best = UNKNOWN
        for candidates in self._stages(last, now, flow, mask):
            step = _best_of(candidates, last, now, weights)
            if step.inliers > best.inliers:
                best = step
            if best.inliers >= _FITS_WELL:
                break
        return _sharpened(best, last, now, weights) if best.inliers >= _FITS else UNKNOWN

    def _stages(self, last: Pyramid, now: Pyramid, flow: Flow | None, mask: Mask) -> Iterator[list[Candidate]]:
        """Estimates, the cheap ones first; each stage is computed when it is asked for."""
        simple: list[Candidate] = [("previous", self._motion), ("still", Similarity())]
        teeth = None if flow is None else teeth_motion(flow, mask)
        if flow is None or teeth is not None:
            yield [("flow on teeth", teeth), *simple]
        if flow is not None:
            yield [("flow", frame_motion(flow)), *(simple if teeth is None else ())]
        yield [("dense", fitted(dense_tracks(last, now), now)), ("tracks", fitted(feature_tracks(last, now), now))]


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


def _sharpened(step: Step, last: Pyramid, now: Pyramid, weights: _Weights) -> Step:
    """The step refined on the fine pictures, or as it is if they differ more then; unknown if implausibly large."""
    motions = [step.motion, refined(last.fine, now.fine, step.motion, weights.fine, steps=_FINE_STEPS)]
    apart = [difference(last.fine, now.fine, motion, weights.fine) for motion in motions]
    best = int(np.argmin(apart))
    if not plausible(motions[best], now.frame_hw):
        return UNKNOWN
    return replace(step, motion=motions[best], residual=apart[best])


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
