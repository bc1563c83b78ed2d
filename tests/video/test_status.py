"""Text on the picture."""

from __future__ import annotations

import numpy as np
import pytest

from mostnet.video.status import draw_status, draw_warning

_GREY, _GREEN = 120, (90, 220, 90)
_STATUS = "correction faded, it would add shake, 123.4 FPS"


def _picture(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), _GREY, np.uint8)


def _extent(where: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row, first and last column."""
    rows, columns = np.nonzero(where)
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


@pytest.mark.parametrize("height", [144, 480, 1080])
def test_the_outline_of_a_text_lies_around_it(height):
    picture = draw_status(_picture(height, 2 * height), _STATUS, _GREEN).astype(int)
    letters, outline = _extent(picture[..., 1] > 180), _extent(picture.max(axis=2) < 60)
    assert np.abs(np.subtract(letters, outline)).max() <= 4


@pytest.mark.parametrize("size_hw", [(480, 640), (144, 176), (240, 120)])
def test_a_status_that_is_too_wide_goes_on_above(size_hw):
    before = _picture(*size_hw)
    written = draw_status(before, _STATUS, _GREEN)
    assert (before == _GREY).all()
    top, bottom, left, right = _extent((written != _GREY).any(axis=2))
    assert left > 0 and right < size_hw[1] - 1
    assert top > size_hw[0] // 2 and bottom < size_hw[0] - 1
    lines = np.diff(np.concatenate([[0], (written[..., 1] > 180).any(axis=1).astype(int)])) == 1
    assert lines.sum() == {640: 1, 176: 2, 120: 3}[size_hw[1]]


def test_a_warning_that_is_too_wide_is_shortened():
    written = draw_warning(_picture(240, 320), "RAW: " + "the engine did not answer " * 4)
    assert (written[10:60, 10:300] != _GREY).any()
    assert (written[10:60, 315] == _GREY).all()
