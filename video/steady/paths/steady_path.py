"""Steady paths by name."""

from __future__ import annotations

from typing import Protocol

from mostnet.video.steady.options import StabiliserOptions
from mostnet.video.steady.similarity import Similarity

from .hand import HAND_FPS, smoothness
from .hold import HoldPath
from .horizon import HorizonPath
from .least_energy import PathFilter


class SteadyPath(Protocol):
    """Takes the camera's motion frame by frame and gives each frame its steady view.

    A view takes points of the steady picture to points of the frame.

    Attributes:
        waiting: frames without a view.
    """

    @property
    def waiting(self) -> int:
        """Frames whose view is not committed yet."""

    def restart(self) -> None:
        """Forget the path; the next frame starts a new one."""

    def push(self, motion: Similarity) -> None:
        """Add a frame; ``motion`` takes its points to the previous frame."""

    def newest(self, size_hw: tuple[int, int], crop: float) -> Similarity:
        """The view that the newest frame would have; a later frame may change it."""

    def commit(self, size_hw: tuple[int, int], crop: float) -> Similarity:
        """The view of the oldest waiting frame."""

    def use(self, size_hw: tuple[int, int], crop: float) -> float:
        """Largest share of the room that the waiting frames would use with a crop."""


def steady_path(options: StabiliserOptions) -> SteadyPath:
    """The path that the options name."""
    if options.steady == "vibration":
        return PathFilter(lookahead=options.lookahead)
    pace = options.fps / HAND_FPS
    kind = HoldPath if options.steady == "hold" else HorizonPath
    return kind(smoothness(options.lookahead, pace), lookahead=options.lookahead, pace=pace)
