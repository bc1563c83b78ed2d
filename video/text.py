"""Text on a picture, legible on any background."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame

Colour = tuple[int, int, int]
Coverage = npt.NDArray[np.uint8]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
#: Height of a line at scale 1, in pixels.
_LINE_PX = 36


def text_scale(size_hw: tuple[int, int]) -> float:
    """The scale of text that is legible on a picture of ``size_hw`` and leaves room for several words."""
    shorter = min(size_hw)
    return max(0.35, min(0.5, shorter / 300), shorter / 900)


def text_width_px(text: str, scale: float) -> int:
    """Width of ``text`` with its outline, at ``scale`` times the size of OpenCV's font."""
    return _size(text, scale)[0] + 2 * _outline_px(scale)


def line_height_px(scale: float) -> int:
    """Distance between two lines of text."""
    return round(_LINE_PX * scale)


def letters(text: str, scale: float) -> tuple[Coverage, Coverage, tuple[int, int]]:
    """The shapes of ``text``: its fill, its outline, and the place of its lower left corner in them.

    The outline is the fill made wider, because bolder text has other advance widths than thin text. Both are uint8
    ``(h, w)``, from 0 (nothing) to 255 (covered).
    """
    width, above, below = _size(text, scale)
    margin = _outline_px(scale) + round(8 * scale)
    fill = np.zeros((above + below + 2 * margin, width + 2 * margin), np.uint8)
    corner = margin, margin + above
    cv2.putText(fill, _ascii(text), corner, _FONT, scale, 255, _thickness(scale), cv2.LINE_AA)
    diameter = 2 * _outline_px(scale) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    return fill, np.asarray(cv2.dilate(fill, disk), np.uint8), corner


def write_text(picture: Frame, text: str, colour: Colour, scale: float, place: tuple[int, int]) -> None:
    """Write on ``picture``, uint8 ``(H, W, 3)``, in place; ``place`` is x and y of the text's lower left corner."""
    fill, outline, corner = letters(text, scale)
    left, top = place[0] - corner[0], place[1] - corner[1]
    x, y = max(left, 0), max(top, 0)
    under = picture[y : max(top + fill.shape[0], 0), x : max(left + fill.shape[1], 0)]
    inside = np.s_[y - top : y - top + under.shape[0], x - left : x - left + under.shape[1]]
    ink, dark = (mask[inside][..., None] / 255 for mask in (fill, outline))
    under[:] = np.rint(under * (1 - dark) * (1 - ink) + np.array(colour) * ink)


def wrapped(text: str, scale: float, room_px: int, *, at: str, most: int) -> list[str]:
    """``text`` in at most ``most`` lines of ``room_px`` pixels, broken at ``at``; what does not fit is cut off."""
    lines: list[str] = []
    for part in text.split(at):
        longer = f"{lines[-1]}{at}{part}" if lines else part
        if lines and (len(lines) == most or text_width_px(longer, scale) <= room_px):
            lines[-1] = longer
        else:
            lines.append(part)
    return [_shortened(line, scale, room_px) for line in lines]


def _shortened(text: str, scale: float, room_px: int) -> str:
    while len(text) > 8 and text_width_px(text, scale) > room_px:
        text = text[:-4] + "..." if not text.endswith("...") else text[:-5] + "..."
    return text


def _size(text: str, scale: float) -> tuple[int, int, int]:
    """Width, and height above and below the base line, without the outline."""
    (width, above), below = cv2.getTextSize(_ascii(text), _FONT, scale, _thickness(scale))
    return int(width), int(above), int(below)


def _thickness(scale: float) -> int:
    return max(1, round(2 * scale))


def _outline_px(scale: float) -> int:
    return max(2, round(2.5 * scale))


def _ascii(text: str) -> str:
    """OpenCV's font has ASCII only: other characters become question marks."""
    return text.encode("ascii", "replace").decode()
