"""Text on the picture: tracking state, frame rate and warnings."""

from __future__ import annotations

from collections import deque
from time import perf_counter

import cv2

from mostnet.contract import Frame
from mostnet.video.steady.state import SteadyState
from mostnet.video.steady.tracking import Tracking

from .text import Colour, text_width_px, write_text

_COLOURS = {Tracking.TRACKING: (90, 220, 90), Tracking.DEGRADED: (40, 200, 250), Tracking.LOST: (70, 90, 255)}
_SOURCES = {"teeth": "on teeth", "frame": "on whole frame", "none": "no motion known"}
_WHITE: Colour = (255, 255, 255)
_WARNING: Colour = (60, 60, 255)


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
    """Text and colour of the status line."""
    rate = f"{fps:.1f} FPS" if fps else ""
    if state is None:
        return rate, _WHITE
    text, colour = f"{state.tracking.value}, {_SOURCES[state.source]}", _COLOURS[state.tracking]
    if state.worse:
        text, colour = "correction faded, it would add shake", _COLOURS[Tracking.DEGRADED]
    return f"{text}, {rate}" if rate else text, colour


def draw_status(picture: Frame, text: str, colour: Colour) -> Frame:
    """A copy of ``picture`` with ``text`` in its lower left corner, legible on any background.

    Text that is wider than the picture goes on in further lines, broken at its commas.
    """
    scale = max(0.35, picture.shape[0] / 1000)
    left, lowest = round(14 * scale), picture.shape[0] - round(16 * scale)
    lines = _lines(text, scale, picture.shape[1] - 2 * left)
    picture = picture.copy()
    for row, line in enumerate(reversed(lines)):
        write_text(picture, line, colour, scale, (left, lowest - row * round(34 * scale)))
    return picture


def draw_warning(picture: Frame, text: str) -> Frame:
    """A copy of ``picture`` with a red border and ``text``, shortened to fit, in the upper left corner."""
    picture = picture.copy()
    width = max(2, picture.shape[0] // 80)
    cv2.rectangle(picture, (0, 0), (picture.shape[1] - 1, picture.shape[0] - 1), _WARNING, width)
    scale = max(0.4, picture.shape[0] / 700)
    text = _shortened(text, scale, picture.shape[1] - 4 * width)
    write_text(picture, text, _WARNING, scale, (2 * width, 2 * width + round(30 * scale)))
    return picture


def _lines(text: str, scale: float, room: int) -> list[str]:
    """The text in lines of at most ``room`` pixels, broken at its commas."""
    lines: list[str] = []
    for part in text.split(", "):
        longer = f"{lines[-1]}, {part}" if lines else part
        if lines and text_width_px(longer, scale) <= room:
            lines[-1] = longer
        else:
            lines.append(_shortened(part, scale, room))
    return lines


def _shortened(text: str, scale: float, room: int) -> str:
    while len(text) > 8 and text_width_px(text, scale) > room:
        text = text[:-4] + "..." if not text.endswith("...") else text[:-5] + "..."
    return text
