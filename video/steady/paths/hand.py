"""Smoothness of a path without a hand's shake, chosen by measurement: see ``docs/steadiness.md``."""

from __future__ import annotations

from dataclasses import replace

from .solver import Smoothness

#: Frame rate that the time constants are given for.
HAND_FPS = 25.0
#: With less of the future known, the crop's wall is soft: the view begins to follow long before it.
_LIVE = Smoothness(slow=30, even=3, pull=0.8, wall=5, power=6, steps=4)
#: With more, the wall is nearly hard, since the path sees it coming.
_AHEAD = Smoothness(slow=14, even=20, pull=2, wall=3000, power=20, steps=6)
#: Least look-ahead of the second kind, at 25 frames per second.
_FAR = 25


def smoothness(lookahead: int, pace: float) -> Smoothness:
    """Weights for a look-ahead in frames; ``pace`` is the frame rate over 25 per second."""
    chosen = _AHEAD if lookahead >= _FAR * pace else _LIVE
    return replace(chosen, slow=chosen.slow * pace, even=chosen.even * pace)
