"""Stabilise the picture with the engine's flow and mask."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mostnet.contract import FLOW, MASK, Frame, VideoError
from mostnet.engine import Output
from mostnet.video.guards import SceneEvent, SceneGuard
from mostnet.video.steady.motion.estimator import MotionEstimator
from mostnet.video.steady.motion.step import Step
from mostnet.video.steady.paths.least_energy import PathFilter

from .anchor import Anchor
from .border import BORDERS, BorderHistory, limited, margin_px, warp, zoomed
from .fade import Fade
from .similarity import Similarity
from .tracking import Tracker, Tracking

Matrix = npt.NDArray[np.float64]

#: Share of the crop that the lag behind a pan may use; the rest is for vibration.
_LAG_SHARE = 0.5
_MAX_LOOKAHEAD = 30


@dataclass(frozen=True)
class StabiliserOptions:
    """Settings of a stabiliser.

    Attributes:
        lookahead: delay of the shown picture in frames, 0 to 30; more is steadier.
        crop: share of height and width given up for the correction, 0.02 to 0.5.
        border: one of ``BORDERS``.
    """

    lookahead: int = 0
    crop: float = 0.1
    border: str = "crop"

    def __post_init__(self) -> None:
        if not 0 <= self.lookahead <= _MAX_LOOKAHEAD:
            raise ValueError(f"lookahead is {self.lookahead}; expected 0 to {_MAX_LOOKAHEAD} frames")
        if not 0.02 <= self.crop <= 0.5:
            raise ValueError(f"crop is {self.crop}; expected 0.02 to 0.5 of the frame")
        if self.border not in BORDERS:
            raise ValueError(f"unknown border {self.border!r}; expected one of {', '.join(BORDERS)}")


@dataclass(frozen=True)
class SteadyState:
    """The stabiliser's state at one frame.

    Attributes:
        tracking: tracking, degraded or lost.
        source, candidate, inliers, residual: how the motion was found, see ``Step``.
        gain: share of the correction that is shown, 0 to 1; while lost, the share of the last one that is left.
        frame_id: number of the frame.
        drift: ``(2, 3)``, from the previous steady picture to this one; None after a break.
    """

    tracking: Tracking
    source: str
    candidate: str
    inliers: float
    residual: float
    gain: float
    frame_id: int
    drift: Matrix | None


class Correction(NamedTuple):
    """Forward matrix, float64 ``(2, 3)`` from frame to steady picture for ``cv2.warpAffine``, and the state."""

    matrix: Matrix
    state: SteadyState


@dataclass
class _Pending:
    """A frame whose correction has not been returned yet."""

    frame_id: int
    step: Step
    motion: Similarity | None
    tracking: Tracking
    anchor: Similarity | None
    weight: float
    view: Similarity | None = None


class Stabiliser:
    """Stabilises a video as its frames come, anchored on the teeth.

    ::

        steady = Stabiliser()
        for output in engine.stream(frames):
            correction = steady.update(output, frame)
            show(steady.apply(output.enhanced, correction))

    With a look-ahead of K, ``update`` returns the correction of the frame K before, and None for the first K frames.
    ``flush`` returns the last K corrections.
    """

    def __init__(self, options: StabiliserOptions | None = None) -> None:
        self.options = options or StabiliserOptions()
        self._filter = PathFilter(lookahead=self.options.lookahead)
        self.reset()

    def reset(self) -> None:
        """Start a new clip."""
        self._filter.restart()
        self._tracker = Tracker()
        self._estimator = MotionEstimator()
        self._anchor = Anchor()
        self._guard = SceneGuard()
        self._pending: deque[_Pending] = deque()
        self._size_hw: tuple[int, int] | None = None
        self._border = BorderHistory()
        self._fade = Fade()
        self._shown: Similarity | None = None
        self._healing = False

    def update(self, output: Output, frame: Frame, *, event: SceneEvent | None = None) -> Correction | None:
        """Add the engine's result for ``frame``, uint8 ``(H, W, 3)`` of the same size; return the next correction.

        Args:
            output: result with flow and mask.
            frame: the camera's frame, checked for cuts and darkness.
            event: result of the caller's ``SceneGuard``; None uses the stabiliser's own.

        Raises:
            VideoError: flow or mask is missing, or the size changed within a clip.
        """
        flow, mask = self._checked(output, frame)
        event = self._guard.check(frame) if event is None else event
        step = self._step(frame, flow, mask, output, event)
        before = self._tracker.state
        usable = step.source != "none"
        state = self._tracker.update(step, usable=usable, broken=event.breaks_tracking)
        self._follow(step.motion if usable else Similarity(), mask, before, state)
        motion = step.motion if usable else None
        entry = _Pending(output.frame_id, step, motion, state, self._anchor.view, self._anchor.weight)
        if state is Tracking.LOST:
            entry.view = Similarity()  # the fade moves the view there
        self._pending.append(entry)
        return self._emit() if len(self._pending) > self.options.lookahead else None

    def flush(self) -> list[Correction]:
        """Return the remaining corrections, oldest first."""
        return [self._emit() for _ in range(len(self._pending))]

    def apply(self, picture: Frame, correction: Correction) -> Frame:
        """Stabilise a picture of the frame of ``correction``, uint8 ``(H, W, 3)``; call it once per frame, in order.

        Returns a new array of the same size.
        """
        if self.options.border == "history":
            return self._border.fill(picture, correction.matrix, correction.state.drift)
        return warp(picture, correction.matrix)

    def _checked(self, output: Output, frame: Frame) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        if output.flow is None or output.mask is None:
            raise VideoError(f"the stabiliser needs flow and mask; open the Engine with outputs=({FLOW!r}, {MASK!r})")
        size_hw = (output.mask.shape[0], output.mask.shape[1])
        if self._size_hw not in (None, size_hw):
            raise VideoError(
                f"the frame is {size_hw}, but the clip began with {self._size_hw}; call reset() between clips"
            )
        if frame.shape[:2] != size_hw:
            raise VideoError(f"the frame is {frame.shape[:2]}, but its result is {size_hw}; give both at one size")
        self._size_hw = size_hw
        return output.flow, output.mask

    def _step(
        self,
        frame: Frame,
        flow: npt.NDArray[np.float32],
        mask: npt.NDArray[np.uint8],
        output: Output,
        event: SceneEvent,
    ) -> Step:
        """The frame's motion. Next to a healed frame the engine's flow is meaningless; the pictures still count."""
        healing, self._healing = self._healing, not output.finite
        if event.breaks_tracking:
            self._estimator.forget()
        return self._estimator.step(frame, None if healing or not output.finite else flow, mask)

    def _follow(self, motion: Similarity, mask: npt.NDArray[np.uint8], before: Tracking, state: Tracking) -> None:
        """Update path and anchor with the new frame; an unusable motion between usable ones counts as zero."""
        if state is Tracking.LOST:
            if before is not Tracking.LOST:
                self._settle()
            self._filter.restart()
            self._anchor.lose()
            return
        if before is Tracking.LOST:
            self._filter.restart()
            self._filter.push(Similarity())
            self._anchor.take_hold(mask)
            return
        self._filter.push(motion)
        self._anchor.push(motion, room_px=self._room_px)
        if state is Tracking.TRACKING:
            self._anchor.remember(mask, self._mixed(self._anchor.view, self._anchor.weight, 0))

    def _settle(self) -> None:
        """Compute the view of every waiting frame while the path to it is still known."""
        newest = len(self._pending) - 1
        for index, entry in enumerate(self._pending):
            if entry.view is None:
                entry.view = self._mixed(entry.anchor, entry.weight, newest - index)

    @property
    def _room_px(self) -> float:
        assert self._size_hw is not None
        return margin_px(self._size_hw, self.options.crop)

    def _mixed(self, held: Similarity | None, weight: float, behind: int) -> Similarity:
        """The steady view of a frame: from the path, mixed with the view held on the teeth after a loss."""
        smooth = self._filter.view(behind, _LAG_SHARE * self._room_px)
        return smooth if held is None else held.towards(smooth, 1 - weight)

    def _emit(self) -> Correction:
        entry = self._pending[0]
        if entry.view is None:
            entry.view = self._mixed(entry.anchor, entry.weight, len(self._pending) - 1)
        self._pending.popleft()
        return self._correction(entry, entry.view)

    def _correction(self, entry: _Pending, view: Similarity) -> Correction:
        assert self._size_hw is not None
        size_hw, options = self._size_hw, self.options
        faded = self._fade.view(limited(view, size_hw, options.crop), entry.tracking)
        shown = zoomed(faded, options.border, options.crop)
        matrix = shown.inverse().matrix(size_hw)
        drift = None
        if self._shown is not None and entry.motion is not None:
            drift = self._shown.then(entry.motion.inverse()).then(shown.inverse()).matrix(size_hw)
        self._shown = shown
        state = SteadyState(
            tracking=entry.tracking,
            source=entry.step.source,
            candidate=entry.step.candidate,
            inliers=entry.step.inliers,
            residual=entry.step.residual,
            gain=self._fade.gain,
            frame_id=entry.frame_id,
            drift=drift,
        )
        return Correction(matrix, state)
