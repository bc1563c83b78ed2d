"""How steady a video and its result are, on a run of frames in their middle."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from mostnet.contract import Frame
from mostnet.video.layouts import LAYOUTS
from mostnet.video.steady.metrics import HANN_FRAMES
from mostnet.video.steady.picture_path import PictureStepper, PictureSteps

from .excerpts import Excerpts, TimedFrames

#: Frames in a row that are measured.
RUN = 120


def is_comparable(layout: str) -> bool:
    """Whether the result shows one picture, and moves with the video or as the stabiliser wants."""
    return LAYOUTS[layout].tiles == (1, 1) and LAYOUTS[layout].moved_picture is not None


def is_long_enough(frames: int) -> bool:
    """Whether there are enough frames to tell; of fewer than the average has, a pan would count as jitter."""
    return frames > HANN_FRAMES


def jitter_px(source: Excerpts, length_s: Fraction) -> float | None:
    """RMS of the path minus its 27-frame Hann average, in pixels of the video; None if it cannot be told.

    Args:
        source: the video.
        length_s: the run lies in the middle of so many seconds.

    Raises:
        VideoError: the video is damaged there.
    """
    stepper = PictureStepper()
    for _, frame in itertools.islice(source.shown_from(_begin_s(source, length_s)), RUN):
        stepper.push(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
    return _jitter_px(stepper.steps)


def jitters_px(source: Excerpts, result: Path, length_s: Fraction) -> tuple[float, float] | None:
    """The same of the video and of its result, on the same frames; None if they cannot be compared.

    A step that is unknown in one of them counts in neither. The zoom of a crop counts.

    Raises:
        VideoError: one of them is damaged there, or the result cannot be read.
    """
    steppers = PictureStepper(), PictureStepper()
    begin_s = _begin_s(source, length_s)
    with Excerpts(result) as written:
        shown = _pairs(source.shown_from(begin_s), written.shown_from(begin_s), source.period_s / 2)
        for pair in itertools.islice(shown, RUN):
            if not _same_size(*pair):
                return None
            for stepper, frame in zip(steppers, pair, strict=True):
                stepper.push(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
    before, after = (stepper.steps for stepper in steppers)
    known = before.known & after.known
    found = [_jitter_px(PictureSteps(np.where(known, steps.shifts, 0), known)) for steps in (before, after)]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _begin_s(source: Excerpts, length_s: Fraction) -> Fraction:
    return max(Fraction(0), (length_s - RUN * source.period_s) / 2)


def _jitter_px(steps: PictureSteps) -> float | None:
    """None without a known step, or of too few frames."""
    return steps.jitter_px if is_long_enough(len(steps.shifts) + 1) and steps.known.any() else None


def _pairs(before: TimedFrames, after: TimedFrames, tolerance_s: Fraction) -> Iterator[tuple[Frame, Frame]]:
    """The frames of both that are shown at the same time."""
    later = next(after, None)
    for time_s, frame in before:
        while later is not None and later[0] < time_s - tolerance_s:
            later = next(after, None)
        if later is None:
            return
        if later[0] <= time_s + tolerance_s:
            yield frame, later[1]


def _same_size(before: Frame, after: Frame) -> bool:
    """Whether the sizes agree; a written video repeats the last row or column of an odd side."""
    return all(0 <= there - here <= 1 for here, there in zip(before.shape, after.shape, strict=True))
