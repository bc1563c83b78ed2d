"""Decide whether the camera's motion is known and teeth are seen."""

from __future__ import annotations

from enum import Enum

from mostnet.video.steady.motion.step import Step


class Tracking(Enum):
    """How reliable the correction of a frame is."""

    TRACKING = "tracking"
    NO_TEETH = "no teeth seen"
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

    def update(self, step: Step, *, broken: bool, teeth: bool) -> Tracking:
        """Return the state after one frame.

        Args:
            step: the frame's motion.
            broken: a cut, a blackout or a covered lens, which loses tracking at once.
            teeth: whether there is evidence of teeth.
        """
        self._bad = 0 if step.known else self._bad + 1
        self._good = self._good + 1 if step.known else 0
        if broken or self._bad > BRIDGE or (self.state is Tracking.LOST and self._good < CONFIRM):
            self.state = Tracking.LOST
        elif not step.known or step.inliers < GOOD_INLIERS:
            self.state = Tracking.DEGRADED
        else:
            self.state = Tracking.TRACKING if teeth else Tracking.NO_TEETH
        return self.state
