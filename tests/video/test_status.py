"""Text on the picture."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mostnet.engine import Output
from mostnet.video import Stabiliser, SteadyState, Tracking
from mostnet.video.status import draw_status, draw_warning, status_line
from mostnet.video.text import letters, text_scale, text_width_px, wrapped

_GREY, _GREEN = 120, (90, 220, 90)
_STATUS = "correction faded, it would add shake, 123.4 FPS"
_LONG = "RAW: the engine did not answer within 40 ms, and the camera repeats its picture"
SIZES_HW = [(240, 320), (360, 640), (720, 1280), (1080, 1920)]


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
        ({"tracking": Tracking.TRACKING, "source": "teeth", "teeth": True}, "tracking, on teeth"),
        ({"tracking": Tracking.NO_TEETH, "source": "teeth"}, "no teeth seen"),
        ({"tracking": Tracking.DEGRADED, "source": "frame"}, "degraded, no teeth seen"),
        ({"tracking": Tracking.DEGRADED, "source": "teeth", "teeth": True}, "degraded, on teeth"),
        ({"tracking": Tracking.TRACKING, "source": "none"}, "start"),
        ({"tracking": Tracking.NO_TEETH, "source": "none"}, "start"),
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


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("text", [_STATUS, "WMj: gq@|_^"])
def test_the_outline_is_the_fill_made_wider(size_hw, text):
    fill, outline, _ = letters(text, text_scale(size_hw))
    assert fill.max() > 200
    assert (outline >= cv2.dilate(fill, np.ones((3, 3), np.uint8))).all()
    assert np.abs(np.subtract(_extent(fill > 0), _extent(outline > 0))).max() <= 5


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_nothing_but_the_outline_lies_beside_a_letter(size_hw):
    before = _picture(*size_hw)
    written = draw_status(before, _STATUS, _GREEN).astype(int)
    inked = (np.abs(written - _GREEN).max(axis=2) < 60).astype(np.uint8)
    beside = cv2.dilate(inked, np.ones((3, 3), np.uint8)) > 0
    assert inked.sum() > 100
    assert (written[beside] != _GREY).any(axis=1).all()


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_letters_are_large_enough_to_read(size_hw):
    top, bottom, _, _ = _extent(letters("H", text_scale(size_hw))[0] > 128)
    assert bottom - top + 1 >= max(9, size_hw[0] / 60)


@pytest.mark.parametrize("size_hw", [*SIZES_HW, (144, 176), (240, 120), (1920, 1080)])
def test_long_text_fits_the_picture(size_hw):
    before = _picture(*size_hw)
    for empty, written in (
        (before, draw_status(before, _STATUS, _GREEN)),
        (draw_warning(before, ""), draw_warning(before, _LONG)),
    ):
        top, bottom, left, right = _extent((written != empty).any(axis=2))
        assert min(top, left) > 0
        assert bottom < size_hw[0] - 1
        assert right < size_hw[1] - 1 - left / 2


@pytest.mark.parametrize("size_hw", [(480, 640), (144, 176), (240, 120)])
def test_a_status_that_is_too_wide_goes_on_above(size_hw):
    before = _picture(*size_hw)
    written = draw_status(before, _STATUS, _GREEN)
    assert (before == _GREY).all()
    top, bottom, left, right = _extent((written != _GREY).any(axis=2))
    assert left > 0 and right < size_hw[1] - 1
    assert top > size_hw[0] // 2 and bottom < size_hw[0] - 1
    lines = np.diff(np.concatenate([[0], (written[..., 1] > 180).any(axis=1).astype(int)])) == 1
    assert lines.sum() == {640: 1, 176: 3, 120: 3}[size_hw[1]]


def test_a_long_warning_goes_on_below_and_is_then_shortened():
    scale = text_scale((240, 320))
    assert wrapped(_LONG, scale, 300, at=" ", most=3)[0].startswith("RAW: the engine")
    lines = wrapped(_LONG * 4, scale, 300, at=" ", most=3)
    assert [line.endswith("...") for line in lines] == [False, False, True]
    assert max(text_width_px(line, scale) for line in lines) <= 300
