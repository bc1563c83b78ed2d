"""Settings of a stabiliser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mostnet.video.steady.shutter.correction import AUTO, checked_setting

from .border import BORDERS

#: ``vibration`` removes what is faster than 0.15 cycles per frame. ``hand`` also removes the shake of a hand, down to
#: about 0.5 Hz. ``hold`` locks the view on the tooth, and follows softly if the camera leaves the crop.
STEADY = ("vibration", "hand", "hold")
MAX_LOOKAHEAD = 60
MIN_CROP, MAX_CROP = 0.02, 0.5
#: Lowest and highest frame rate.
MIN_FPS, MAX_FPS = 1.0, 1000.0


@dataclass(frozen=True)
class StabiliserOptions:
    """Settings of a stabiliser.

    Attributes:
        steady: one of ``STEADY``.
        lookahead: delay of the shown picture in frames, 0 to 60; more is steadier.
        crop: share of height and width given up for the correction, 0.02 to 0.5; ``auto`` fits it to the shake.
        border: one of ``BORDERS``.
        shutter: readout of a rolling shutter as a share of the frame period, -1 to 1 (negative: last row first).
            ``auto`` finds it out, ``off`` corrects nothing. Without look-ahead, nothing is corrected.
        fps: frames per second, by which ``hand`` and ``hold`` turn times into frames.
    """

    steady: str = "hand"
    lookahead: int = 0
    crop: float | Literal["auto"] = "auto"
    border: str = "crop"
    shutter: float | str = AUTO
    fps: float = 25.0

    def __post_init__(self) -> None:
        if self.steady not in STEADY:
            raise ValueError(f"unknown steady {self.steady!r}; expected one of {', '.join(STEADY)}")
        if not 0 <= self.lookahead <= MAX_LOOKAHEAD:
            raise ValueError(f"lookahead is {self.lookahead}; expected 0 to {MAX_LOOKAHEAD} frames")
        if isinstance(self.crop, str):
            if self.crop != "auto":
                raise ValueError(f"crop is {self.crop!r}; expected 'auto' or {MIN_CROP} to {MAX_CROP} of the frame")
        elif not MIN_CROP <= self.crop <= MAX_CROP:
            raise ValueError(f"crop is {self.crop}; expected {MIN_CROP} to {MAX_CROP} of the frame, or 'auto'")
        if self.border not in BORDERS:
            raise ValueError(f"unknown border {self.border!r}; expected one of {', '.join(BORDERS)}")
        checked_setting(self.shutter)
        if not MIN_FPS <= self.fps <= MAX_FPS:
            raise ValueError(f"fps is {self.fps}; expected {MIN_FPS:g} to {MAX_FPS:g} frames per second")
