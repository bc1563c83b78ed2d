"""Order and labels of the pictures."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from mostnet.engine import Output
from mostnet.video import SceneEvent, Stabiliser, StabiliserOptions
from mostnet.video.sink import Original

from .camera.fakes import FRAMES, Screen, is_warned, make_sink


def _result(k: int) -> Output:
    original = Original(Fraction(k, 25), FRAMES[k], SceneEvent.SAME)
    mask = np.full((64, 80), 255, np.uint8)
    return Output(FRAMES[k], np.zeros((2, 64, 80), np.float32), mask, True, k, original, 1.0)


def test_the_status_can_be_turned_off():
    shown = {}
    for status in (False, True):
        screen = Screen()
        sink = make_sink(screen, status=status, stabiliser=Stabiliser())
        for k in range(4):
            sink.show(_result(k))
        shown[status] = screen.pictures[3]
    assert not np.array_equal(shown[True][40:], shown[False][40:])
    assert np.array_equal(shown[True][:40], shown[False][:40])


def test_a_raw_frame_does_not_overtake_those_that_wait_for_the_future():
    screen = Screen()
    sink = make_sink(screen, stabiliser=Stabiliser(StabiliserOptions(lookahead=3)))
    for k in range(5):
        sink.show(_result(k))
    assert len(screen.pictures) == 2
    sink.show_raw(Fraction(5, 25), FRAMES[5], "RAW: engine late")
    assert len(screen.pictures) == 6
    assert [is_warned(one) for one in screen.pictures] == [False] * 5 + [True]
    sink.close()
    assert screen.closed
