"""Checks of an engine's outputs that need no reference, so that a broken engine gets no figures."""

from __future__ import annotations

import numpy as np

from mostnet.contract import Frame, VerificationError
from mostnet.engine import Output, Session

from .frames import BenchFrames

#: Frames checked before anything is timed.
CHECKED_FRAMES = 10


def check_outputs(session: Session, frames: BenchFrames) -> int:
    """Run the first frames, check their results, and return how many were checked.

    Raises:
        VerificationError: a result is not finite, or a picture is constant although its input frame is not.
    """
    for i in range(CHECKED_FRAMES):
        _check(session.infer(frames[i]), frames[i], i)
    return CHECKED_FRAMES


def _check(output: Output, frame: Frame, index: int) -> None:
    where = f"frame {index}; a wrong engine gets no figures"
    if not output.finite:
        raise VerificationError(f"the engine reports a state or picture that is not finite in {where}")
    if not np.isfinite(output.flow).all():
        raise VerificationError(f"the engine's flow is not finite in {where}")
    if np.ptp(frame) > 0 and np.ptp(output.enhanced) == 0:
        level = int(output.enhanced.flat[0])
        raise VerificationError(f"the engine's picture is constant (every value {level}), its input is not, in {where}")
