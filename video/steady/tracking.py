"""Decide whether the camera's motion is known: tracking, degraded or lost."""

from __future__ import annotations

from enum import Enum

from mostnet.video.steady.motion.step import Step


class Tracking(Enum):
    """How reliable the correction of a frame is."""

    TRACKING = "tracking"
    DEGRADED = "degraded"
    LOST = "lost"


#: Least share of the textured picture that agrees with the motion in a good frame.
GOOD_INLIERS = 0.6
#: Most frames of unknown motion in a row before tracking counts as lost.
BRIDGE = 3
#: Frames of known motion in a row that end a loss.
CONFIRM = 2


class Tracker:
    """The state machine of tracking."""

    def __init__(self) -> None:
        self.state = Tracking.LOST
        self._bad = 0
        self._good = 0

    def update(self, step: Step, *, broken: bool) -> Tracking:
        """Return the state after one frame; ``broken`` (cut, blackout, covered lens) loses tracking at once."""
        self._bad = 0 if step.known else self._bad + 1
        self._good = self._good + 1 if step.known else 0
        if broken or self._bad > BRIDGE or (self.state is Tracking.LOST and self._good < CONFIRM):
            self.state = Tracking.LOST
        elif step.source == "teeth" and step.inliers >= GOOD_INLIERS:
            self.state = Tracking.TRACKING
        else:
            self.state = Tracking.DEGRADED
        return self.state
