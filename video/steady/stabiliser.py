"""Stabilise the picture, from the frames and the engine's flow and mask."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from mostnet.contract import FLOW, MASK, Frame, VideoError
from mostnet.engine import Output
from mostnet.video.guards import SceneEvent, SceneGuard
from mostnet.video.steady.motion.estimator import MotionEstimator
from mostnet.video.steady.motion.step import Step
from mostnet.video.steady.paths.steady_path import SteadyPath, steady_path
from mostnet.video.steady.shutter.correction import ShutterCorrection

from .anchor import Anchor
from .border import BorderHistory, warp
from .crop import CropControl
from .evidence import TeethEvidence
from .jitter_watch import small_picture
from .options import StabiliserOptions
from .room import margin_px, used
from .showing import Showing, inner_crop
from .similarity import Similarity
from .state import Correction, WaitingFrame
from .tracking import GOOD_INLIERS, Tracker, Tracking


class Stabiliser:
    """Stabilises a video as its frames come, anchored on the teeth.

    ::

        steady, waiting = Stabiliser(options), deque()
        for frame in frames:
            output = engine.infer(frame)
            waiting.append(output.enhanced)
            correction = steady.update(output, frame)
            if correction is not None:
                show(steady.apply(waiting.popleft(), correction))
        for correction in steady.flush():
            show(steady.apply(waiting.popleft(), correction))

    With a look-ahead of K, ``update`` returns the correction of the frame K before, and None for the first K frames.
    So K pictures wait: a correction belongs to the oldest of them, whose number is ``correction.state.frame_id``.
    ``flush`` returns the last K corrections. Without look-ahead nothing waits, and this loop works the same.
    The engine overwrites borrowed results, so copy their pictures before they wait.
    """

    def __init__(self, options: StabiliserOptions | None = None) -> None:
        self.options = options or StabiliserOptions()
        self._path: SteadyPath = steady_path(self.options)
        self.reset()

    def reset(self) -> None:
        """Start a new clip."""
        self._path.restart()
        self._crop = CropControl(self.options)
        self._tracker = Tracker()
        self._estimator = MotionEstimator()
        self._anchor = Anchor()
        self._evidence = TeethEvidence()
        self._guard = SceneGuard()
        self._pending: deque[WaitingFrame] = deque()
        self._size_hw: tuple[int, int] | None = None
        self._border = BorderHistory()
        self._showing: Showing | None = None
        self._healing = False
        self._shutter = ShutterCorrection(self.options.shutter, lookahead=self.options.lookahead)

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
        motion = step.motion if step.known else None
        if event.breaks_tracking:
            self._evidence = TeethEvidence()
        teeth = self._evidence.update(mask, motion)
        state = self._tracker.update(step, broken=event.breaks_tracking, teeth=teeth)
        if event is SceneEvent.CUT:
            self._settle()
            self._crop.restart()
            self._anchor = Anchor()
        self._follow(step, mask, before, state)
        self._add_rows(motion)
        held = self._anchor
        entry = WaitingFrame(output.frame_id, step, motion, state, held.view, held.weight, small_picture(frame))
        entry.teeth = teeth
        entry.starts = event is SceneEvent.CUT or (self._showing is None and not self._pending)
        if state is Tracking.LOST:
            entry.view = Similarity()  # the fade moves the view there
        self._pending.append(entry)
        return self._emit() if len(self._pending) > self.options.lookahead else None

    def flush(self) -> list[Correction]:
        """Return the remaining corrections, oldest first."""
        return [self._emit() for _ in range(len(self._pending))]

    def apply(self, picture: Frame, correction: Correction) -> Frame:
        """Stabilise a picture of the frame of ``correction``, uint8 ``(H, W, 3)``; call it once per frame, in order.

        With a look-ahead, this frame is not the newest one, see the example of the class. The picture cannot be checked
        against the correction. Returns a new array of the same size.
        """
        if self.options.border == "history":
            return self._border.fill(picture, correction.matrix, correction.state.drift, rows=correction.rows)
        return warp(picture, correction.matrix, rows=correction.rows)

    def _checked(self, output: Output, frame: Frame) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        if FLOW not in output.names or MASK not in output.names:
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

    def _follow(self, step: Step, mask: npt.NDArray[np.uint8], before: Tracking, state: Tracking) -> None:
        """Update path and anchor with the new frame; an unknown motion between known ones counts as none."""
        motion = step.motion if step.known else Similarity()
        if state is Tracking.LOST:
            if before is not Tracking.LOST:
                self._settle()
            self._path.restart()
            self._anchor.lose()
            return
        if before is Tracking.LOST:
            self._path.restart()
            self._anchor.take_hold(mask)
            self._path.push(motion if self._backdate(state) else Similarity())
            if self._anchor.view is not None and used(self._anchor.view, self._hw, self._crop.value) <= 1:
                self._path.continue_from(self._anchor.view)
            return
        self._path.push(motion)
        self._anchor.push(motion, room_px=self._room_px)
        if step.source == "teeth" and step.inliers >= GOOD_INLIERS:
            newest = self._path.newest(self._hw, self._crop.value)
            self._anchor.remember(mask, _mixed(newest, self._anchor.view, self._anchor.weight))

    def _add_rows(self, motion: Similarity | None) -> None:
        """Tell the correction of the rows how the newest frame moved."""
        if self._shutter.active:
            points, weights = self._estimator.support()
            tracks = self._estimator.tracks() if self._shutter.wants_matches else None
            self._shutter.push(motion, size_hw=self._hw, points=points, weights=weights, matches=tracks)

    def _backdate(self, state: Tracking) -> bool:
        """Let the path begin with the clip, if no frame of the clip was shown and the motion of all is known."""
        starts = [index for index, entry in enumerate(self._pending) if entry.starts]
        clip = list(self._pending)[starts[-1] :] if starts else []
        if not clip or not all(entry.motion is not None for entry in clip[1:]):
            return False
        for entry in clip:
            self._path.push(entry.motion or Similarity())
            entry.view, entry.tracking, entry.teeth = None, state, self._evidence.seen
        return True

    def _settle(self) -> None:
        """Commit the view of every waiting frame while the path to it is still known."""
        for entry in self._pending:
            self._commit(entry)

    @property
    def _hw(self) -> tuple[int, int]:
        assert self._size_hw is not None
        return self._size_hw

    @property
    def _room_px(self) -> float:
        return margin_px(self._hw, self._crop.value)

    def _commit(self, entry: WaitingFrame) -> None:
        """Fix crop and view of the oldest frame without them."""
        if entry.crop is None:
            self._fit_crop()
            entry.crop = self._crop.value
        if entry.view is None:
            smooth = self._path.commit(self._hw, inner_crop(entry.crop, self._shutter, self._hw))
            entry.view = _mixed(smooth, entry.anchor, entry.weight)
            self._crop.follow(used(smooth, self._hw, entry.crop))

    def _fit_crop(self) -> None:
        """Choose the crop of a clip from the frames that wait, before the first of them is shown."""
        if self.options.lookahead and self._path.waiting:
            self._crop.fit(lambda crop: self._path.use(self._hw, crop))
        self._crop.close()

    def _emit(self) -> Correction:
        entry = self._pending[0]
        self._commit(entry)
        self._pending.popleft()
        if self._showing is None:
            self._showing = Showing(self.options, self._hw)
        return self._showing.correction(entry, self._shutter)


def _mixed(smooth: Similarity, held: Similarity | None, weight: float) -> Similarity:
    """The view of the steady path, mixed with the view held on the teeth after a loss."""
    return smooth if held is None else held.towards(smooth, 1 - weight)
