"""Decide whether the camera's motion is known: tracking, degraded or lost."""

from __future__ import annotations

from enum import Enum

from mostnet.video.steady.motion.flow_fit import Step


class Tracking(Enum):
    """How reliable the correction of a frame is."""

    TRACKING = "tracking"
    DEGRADED = "degraded"
    LOST = "lost"


#: Least share of the flow that must agree on one motion, in good and in usable frames.
GOOD_INLIERS, USABLE_INLIERS = 0.6, 0.35
#: Largest residual of a usable frame, in pixels of a frame 640 pixels wide.
MAX_RESIDUAL_PX = 4.0
#: Most unusable frames in a row before tracking counts as lost.
BRIDGE = 3
#: Usable frames in a row that end a loss.
CONFIRM = 2


class Tracker:
    """The state machine of tracking."""

    def __init__(self) -> None:
        self.state = Tracking.LOST
        self._bad = 0
        self._good = 0

    def usable(self, step: Step, width_px: int) -> bool:
        """Whether the step's motion is reliable enough to use."""
        return step.inliers >= USABLE_INLIERS and step.residual_px <= MAX_RESIDUAL_PX * width_px / 640

    def update(self, step: Step, *, usable: bool, broken: bool) -> Tracking:
        """Return the state after one frame; ``broken`` (cut, blackout, covered lens) loses tracking at once."""
        self._bad = 0 if usable else self._bad + 1
        self._good = self._good + 1 if usable else 0
        if broken or self._bad > BRIDGE or (self.state is Tracking.LOST and self._good < CONFIRM):
            self.state = Tracking.LOST
        elif usable and step.source == "teeth" and step.inliers >= GOOD_INLIERS:
            self.state = Tracking.TRACKING
        else:
            self.state = Tracking.DEGRADED
        return self.state
