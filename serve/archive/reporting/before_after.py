"""The picture of a video in the report: one moment before beside after."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np

from mostnet.contract import Frame
from mostnet.video.resize import resize_picture
from mostnet.video.text import line_height_px, write_text

#: Largest width of the whole picture, and height of its parts, in pixels.
MOST_WIDE, MOST_HIGH = 640, 300
_GAP_PX, _TEXT_SCALE = 4, 0.5
_BACK, _TEXT = (40, 36, 32), (255, 255, 255)


def beside(parts: Sequence[tuple[str, Frame]], pixel_aspect: Fraction = Fraction(1)) -> bytes:
    """PNG of pictures beside each other at one height, each below its label.

    Args:
        parts: label and uint8 ``(H, W, 3)`` BGR.
        pixel_aspect: width over height of one of their pixels.
    """
    shapes = [float(picture.shape[1] / picture.shape[0] * pixel_aspect) for _, picture in parts]
    room = MOST_WIDE - _GAP_PX * (len(parts) - 1)
    height = min(MOST_HIGH, room / sum(shapes), parts[0][1].shape[0])
    columns = []
    for (label, picture), shape in zip(parts, shapes, strict=True):
        columns += [_labelled(label, resize_picture(picture, (max(1, int(height)), max(1, int(height * shape)))))]
        columns += [np.full((columns[0].shape[0], _GAP_PX, 3), _BACK, np.uint8)]
    return cv2.imencode(".png", np.hstack(columns[:-1]), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def _labelled(label: str, picture: Frame) -> Frame:
    strip = np.full((line_height_px(_TEXT_SCALE) + 4, picture.shape[1], 3), _BACK, np.uint8)
    write_text(strip, label, _TEXT, _TEXT_SCALE, (6, strip.shape[0] - 5))
    return np.vstack([strip, picture])
