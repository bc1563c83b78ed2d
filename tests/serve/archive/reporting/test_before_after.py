"""The picture of a video in the report."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from mostnet.contract import Frame
from mostnet.serve.archive.reporting.before_after import MOST_HIGH, MOST_WIDE, beside

STRIP_PX = 22


def picture_of(*sizes_hw: tuple[int, int], pixel_aspect: Fraction = Fraction(1)) -> Frame:
    """One picture per size, the first one blue and the second one red."""
    colours = ((200, 0, 0), (0, 0, 200))
    parts = [
        (label, np.full((*size_hw, 3), colour, np.uint8))
        for label, size_hw, colour in zip(("before", "after"), sizes_hw, colours, strict=False)
    ]
    return cv2.imdecode(np.frombuffer(beside(parts, pixel_aspect), np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    ("sizes_hw", "aspect", "shown_hw"),
    [
        (((480, 640), (480, 640)), 1, (238, 640)),
        (((480, 640),), 1, (300, 400)),
        (((1920, 1080), (1920, 1080)), 1, (300, 341)),  # portraits
        (((1080, 1920), (1080, 3840)), 1, (119, 639)),  # side by side
        (((576, 720), (576, 720)), Fraction(16, 11), (174, 639)),  # wide pixels
        (((96, 128), (96, 128)), 1, (96, 260)),  # not made larger than the video
        (((4, 3000), (4, 3000)), 1, (1, 640)),
        (((3000, 4), (3000, 4)), 1, (300, 6)),
    ],
)
def test_size(sizes_hw: tuple[tuple[int, int], ...], aspect: Fraction, shown_hw: tuple[int, int]) -> None:
    height, width = picture_of(*sizes_hw, pixel_aspect=Fraction(aspect)).shape[:2]
    assert height <= MOST_HIGH + STRIP_PX and width <= MOST_WIDE
    assert height - STRIP_PX == shown_hw[0]
    assert abs(width - shown_hw[1]) <= 1


def test_before_is_left_of_after_and_each_has_its_label() -> None:
    picture = picture_of((96, 128), (96, 128))
    assert (picture[STRIP_PX:, :128] == (200, 0, 0)).all() and (picture[STRIP_PX:, -128:] == (0, 0, 200)).all()
    labels = [picture[:STRIP_PX, :128], picture[:STRIP_PX, -128:]]
    assert all(label.max() > 200 for label in labels)
    assert not np.array_equal(*labels)
