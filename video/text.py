"""Text on a picture, legible on any background."""

from __future__ import annotations

import cv2

from mostnet.contract import Frame

Colour = tuple[int, int, int]

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def text_width_px(text: str, scale: float) -> int:
    """Width of ``text`` at ``scale`` times the size of OpenCV's font."""
    return int(cv2.getTextSize(_ascii(text), _FONT, scale, _thickness(scale))[0][0])


def write_text(picture: Frame, text: str, colour: Colour, scale: float, place: tuple[int, int]) -> None:
    """Write on ``picture``, uint8 ``(H, W, 3)``, in place; ``place`` is x and y of the text's lower left corner."""
    thickness = _thickness(scale)
    # The outline is the same text, shifted: bolder text would be wider and no longer lie under it.
    outline = [((0, 0, 0), x, y) for x in (-thickness, thickness) for y in (-thickness, thickness)]
    for shade, x, y in [*outline, (colour, 0, 0)]:
        cv2.putText(picture, _ascii(text), (place[0] + x, place[1] + y), _FONT, scale, shade, thickness, cv2.LINE_AA)


def _thickness(scale: float) -> int:
    return max(1, round(1.5 * scale))


def _ascii(text: str) -> str:
    """OpenCV's font has ASCII only: other characters become question marks."""
    return text.encode("ascii", "replace").decode()
