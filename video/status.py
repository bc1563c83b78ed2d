"""Text on the picture: tracking state, the frame rate of a camera, and warnings."""

from __future__ import annotations

from collections import deque
from time import perf_counter

import cv2

from mostnet.contract import Frame
from mostnet.video.steady.state import SteadyState
from mostnet.video.steady.tracking import Tracking

from .text import Colour, line_height_px, text_scale, wrapped, write_text

_COLOURS = {
    Tracking.TRACKING: (90, 220, 90),
    Tracking.NO_TEETH: (255, 200, 110),
    Tracking.DEGRADED: (40, 200, 250),
    Tracking.LOST: (90, 110, 255),
}
_WHITE: Colour = (255, 255, 255)
_WARNING: Colour = (60, 60, 255)
_WARNING_TEXT: Colour = (120, 120, 255)
_MOST_LINES = 3


class RateMeter:
    """Pictures per second, averaged over the last ``count`` pictures."""

    def __init__(self, count: int = 25) -> None:
        self._times: deque[float] = deque(maxlen=count + 1)

    def tick(self, now_s: float | None = None) -> float:
        """Count one picture and return the rate; 0 for the first."""
        self._times.append(perf_counter() if now_s is None else now_s)
        passed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / passed if passed > 0 else 0.0


def status_line(state: SteadyState | None, fps: float) -> tuple[str, Colour]:
    """Text and colour of the status line; an ``fps`` of 0 is not shown."""
    rate = f"{fps:.1f} FPS" if fps else ""
    if state is None:
        return rate, _WHITE
    text, colour = _tracking(state), _COLOURS[state.tracking]
    if state.worse:
        text, colour = "correction faded, it would add shake", _COLOURS[Tracking.DEGRADED]
    return f"{text}, {rate}" if rate else text, colour


def _tracking(state: SteadyState) -> str:
    name = str(state.tracking.value)
    if state.source == "none" and state.tracking in (Tracking.TRACKING, Tracking.NO_TEETH):
        return "start"  # the first frame has none before it
    if state.tracking is Tracking.NO_TEETH:
        return name
    if state.source == "none":
        return f"{name}, no motion known"
    return f"{name}, on teeth" if state.teeth else f"{name}, no teeth seen"


def draw_status(picture: Frame, text: str, colour: Colour) -> Frame:
    """A copy of ``picture`` with ``text`` in its lower left corner, legible on any background.

    Text that is wider than the picture goes on in further lines, broken at its commas.
    """
    picture = picture.copy()
    scale = text_scale(picture.shape[:2])
    left, lowest = round(14 * scale), picture.shape[0] - round(16 * scale)
    lines = wrapped(text, scale, picture.shape[1] - 2 * left, at=", ", most=_MOST_LINES)
    for row, line in enumerate(reversed(lines)):
        write_text(picture, line, colour, scale, (left, lowest - row * line_height_px(scale)))
    return picture


def draw_warning(picture: Frame, text: str) -> Frame:
    """A copy of ``picture`` with a red border, and ``text`` in its upper left corner in up to three lines."""
    picture = picture.copy()
    width = max(2, picture.shape[0] // 80)
    cv2.rectangle(picture, (0, 0), (picture.shape[1] - 1, picture.shape[0] - 1), _WARNING, width)
    scale = text_scale(picture.shape[:2])
    left = 2 * width + round(8 * scale)
    lines = wrapped(text, scale, picture.shape[1] - 2 * left, at=" ", most=_MOST_LINES)
    for row, line in enumerate(lines, start=1):
        write_text(picture, line, _WARNING_TEXT, scale, (left, 2 * width + row * line_height_px(scale)))
    return picture
