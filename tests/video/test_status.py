"""Text on the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mostnet.engine import Output
from mostnet.video import Stabiliser, SteadyState, Tracking
from mostnet.video.status import draw_status, draw_warning, status_line

_GREY, _GREEN = 120, (90, 220, 90)
_STATUS = "correction faded, it would add shake, 123.4 FPS"


def _picture(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), _GREY, np.uint8)


def _extent(where: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row, first and last column."""
    rows, columns = np.nonzero(where)
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def _state() -> SteadyState:
    mask = np.full((64, 80), 255, np.uint8)
    output = Output(None, np.zeros((2, 64, 80), np.float32), mask, True, 0, None, 1.0)
    correction = Stabiliser().update(output, np.zeros((64, 80, 3), np.uint8))
    assert correction is not None
    return correction.state


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"tracking": Tracking.TRACKING, "source": "teeth"}, "tracking, on teeth"),
        ({"tracking": Tracking.DEGRADED, "source": "frame"}, "degraded, on whole frame"),
        ({"tracking": Tracking.LOST, "source": "none"}, "lost, no motion known"),
        ({"tracking": Tracking.TRACKING, "source": "teeth", "worse": True}, "correction faded, it would add shake"),
    ],
)
def test_the_status_says_what_is_known(changes, text):
    state = replace(_state(), **changes)
    assert status_line(state, 0)[0] == text
    assert status_line(state, 24.96)[0] == f"{text}, 25.0 FPS"


def test_without_a_stabiliser_the_status_is_the_rate():
    assert [status_line(None, fps)[0] for fps in (0, 12.34)] == ["", "12.3 FPS"]


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
