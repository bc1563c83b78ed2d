"""A part of a video."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a video: the frames shown from ``begin_s`` until ``end_s``, in seconds since the first frame.

    Attributes:
        begin_s, end_s: bounds; an ``end_s`` of None is the end of the video.
        frames: number of frames in it.
        warm_up: frames that run before it, and are not written, so that the state has settled.
    """

    begin_s: Fraction
    end_s: Fraction | None
    frames: int
    warm_up: int

    def __post_init__(self) -> None:
        if self.begin_s < 0 or (self.end_s is not None and self.end_s <= self.begin_s):
            raise ValueError(f"the span is {self.begin_s} to {self.end_s} s; expected a begin from 0, before its end")
        if self.frames < 1 or self.warm_up < 0:
            raise ValueError(
                f"the span has {self.frames} frames and {self.warm_up} to warm up; expected at least 1 and 0"
            )
