"""The jitter of a video from its whole pictures, by phase correlation: no corners, no tracks, no masks.

Feature tracks follow an object in the foreground, or find nothing on a bare surface. Phase correlation takes the whole
picture, so it measures what a viewer sees. It finds no rotation and no zoom.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame, FrameError

from .metrics import vibration
from .phase import PhaseCorrelator, Spectrum

#: Pictures are halved, or divided by more, until their shorter side is about this long.
_SHORT_SIDE = 240


@dataclass(frozen=True, eq=False)
class PictureSteps:
    """The shift of each picture of a video against the one before.

    Attributes:
        shifts: complex ``(N - 1,)`` in pixels of the picture; 0 where unknown.
        known: bool ``(N - 1,)``: whether the phase correlation had a clear response.
    """

    shifts: npt.NDArray[np.complex128]
    known: npt.NDArray[np.bool_]

    @property
    def unknown(self) -> int:
        """Number of steps without a clear response, as at cuts, in noise and in heavy blur."""
        return int((~self.known).sum())

    @property
    def jitter_px(self) -> float:
        """RMS of the path minus its 27-frame Hann average; NaN if no step is known. An unknown step counts as zero."""
        return _jitter(self.shifts) if self.known.any() else float("nan")


class PictureStepper:
    """Collects ``PictureSteps`` picture by picture."""

    def __init__(self) -> None:
        self._correlator: PhaseCorrelator | None = None
        self._last: Spectrum | None = None
        self._size_hw = (0, 0)
        self._shifts: list[complex | None] = []

    def push(self, grey: npt.NDArray[np.uint8]) -> None:
        """Add a picture, uint8 ``(H, W)``.

        Raises:
            FrameError: it has another size than the first one.
        """
        height, width = grey.shape
        divisor = max(1, round(min(height, width) / _SHORT_SIDE))
        small = cv2.resize(grey, (width // divisor, height // divisor), interpolation=cv2.INTER_AREA)
        if self._correlator is None:
            self._correlator, self._size_hw = PhaseCorrelator((small.shape[0], small.shape[1])), (height, width)
        if self._size_hw != (height, width):
            (high, wide) = self._size_hw
            raise FrameError(
                f"a frame has {height}x{width} pixels, the first has {high}x{wide}; give frames of one size"
            )
        now = self._correlator.spectrum(small)
        if self._last is not None:
            shift = self._correlator.shift(self._last, now)
            self._shifts.append(None if shift is None else divisor * shift)
        self._last = now

    @property
    def steps(self) -> PictureSteps:
        """The steps so far."""
        known = np.array([shift is not None for shift in self._shifts], bool)
        return PictureSteps(np.array([shift or 0j for shift in self._shifts], np.complex128), known)


def picture_steps(frames: Iterable[Frame]) -> PictureSteps:
    """The steps of a video, uint8 ``(H, W, 3)`` BGR each.

    Raises:
        FrameError: the frames differ in size.
    """
    stepper = PictureStepper()
    for frame in frames:
        stepper.push(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
    return stepper.steps


def jitter_ratio(before: PictureSteps, after: PictureSteps) -> float:
    """Jitter of ``after`` over that of ``before``; NaN if no step is known in both, or ``before`` does not move at all.

    A step that is unknown in one of the two counts as zero in both.

    Raises:
        FrameError: the two differ in length.
    """
    if len(before.shifts) != len(after.shifts):
        raise FrameError(
            f"the video has {len(after.shifts) + 1} frames, its reference {len(before.shifts) + 1}; compare videos "
            "that have the same frames"
        )
    known = before.known & after.known
    base = _jitter(np.where(known, before.shifts, 0))
    return _jitter(np.where(known, after.shifts, 0)) / base if base > 0 else float("nan")


def _jitter(shifts: npt.NDArray[np.complex128]) -> float:
    path = np.concatenate([[0j], np.cumsum(shifts)])
    return vibration(np.stack([path.real, path.imag], axis=1))
