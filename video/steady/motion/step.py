"""The motion of one frame, and how well the pictures agree with it."""

from __future__ import annotations

from dataclasses import dataclass

from mostnet.video.steady.similarity import Similarity


@dataclass(frozen=True)
class Step:
    """Motion of one frame.

    Attributes:
        motion: takes a point of this frame to its place in the previous one; the identity if unknown.
        source: the pixels that count most, ``teeth`` or ``frame`` (too little tooth in view); ``none`` if unknown.
        candidate: the estimate that the pictures confirmed, one of ``CANDIDATES``; ``none`` if no estimate fits.
        inliers: share of the textured picture that agrees with the motion, 0 to 1.
        residual: mean difference of the two pictures after the motion, in grey levels, without outliers.
    """

    motion: Similarity
    source: str
    candidate: str
    inliers: float
    residual: float

    @property
    def known(self) -> bool:
        """Whether the pictures confirmed a motion."""
        return self.source != "none"


#: Estimates of the motion: from the engine's flow on the teeth and on the whole frame, the motion before, none, from
#: dense flow of a small picture, and from feature tracks.
CANDIDATES = ("flow on teeth", "flow", "previous", "still", "dense", "tracks")

UNKNOWN = Step(Similarity(), "none", "none", 0.0, float("inf"))
