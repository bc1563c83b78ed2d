"""Order and labels of the pictures."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from mostnet.engine import Output
from mostnet.video import LAYOUTS, FlowScale, SceneEvent, Stabiliser, StabiliserOptions, layouts
from mostnet.video.fit import FrameFit
from mostnet.video.sink import Original, Sink

from .camera.fakes import FIT, FRAMES, Screen, is_warned, make_sink
from .samples import moving_frames


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
    assert not np.array_equal(shown[True][20:], shown[False][20:])
    assert np.array_equal(shown[True][:20], shown[False][:20])


@pytest.mark.parametrize("live", [False, True])
def test_only_a_live_picture_has_a_rate(live):
    screen = Screen()
    sink = Sink(
        LAYOUTS["enhanced"], FlowScale(), FIT, writer=None, window=screen, stabiliser=None, status=True, live=live
    )
    results = [_result(k) for k in range(3)]
    for result in results:
        sink.show(result)
    drawn = [not np.array_equal(one, result.enhanced) for one, result in zip(screen.pictures, results, strict=True)]
    assert drawn == [False, live, live], "the first picture of a camera has no rate yet"


@pytest.mark.parametrize("layout", ["side-by-side", "grid"])
def test_the_steadied_tile_says_so(monkeypatch, layout):
    texts = []
    monkeypatch.setattr(layouts, "caption", lambda picture, text: texts.append(text) or picture)
    for stabiliser in (None, Stabiliser()):
        make_sink(Screen(), layout=layout, stabiliser=stabiliser).show(_result(0))
    assert [text for text in texts if text.startswith("enhanced")] == ["enhanced", "enhanced, steadied"]


@pytest.mark.parametrize("lookahead", [0, 2])
def test_original_shows_the_frame_moved_by_the_correction(lookahead):
    frames = moving_frames(12, (120, 160))
    screen, steady, fit = (
        Screen(),
        Stabiliser(StabiliserOptions(lookahead=lookahead, crop=0.2)),
        FrameFit(*[(120, 160)] * 2),
    )
    sink = Sink(LAYOUTS["original"], FlowScale(), fit, writer=None, window=screen, stabiliser=steady, status=False)
    twin, given = Stabiliser(steady.options), []
    for k, frame in enumerate(frames):
        original = Original(Fraction(k, 25), frame, SceneEvent.SAME)
        flow, mask = np.zeros((2, 120, 160), np.float32), np.full((120, 160), 255, np.uint8)
        sink.show(Output(None, flow, mask, True, k, original, 1.0))
        given.append(twin.update(Output(None, flow, mask, True, k, None, 1.0), frame, event=SceneEvent.SAME))
    sink.flush()
    corrections = [one for one in given if one is not None] + twin.flush()
    assert any(abs(one.matrix - np.eye(2, 3)).max() > 0.05 for one in corrections)
    expected = [twin.apply(frame, one) for frame, one in zip(frames, corrections, strict=True)]
    assert np.array_equal(screen.pictures, expected)
    assert sink.counts.toothless == len(frames), "a mask that covers everything is no tooth"


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


def test_pictures_that_wait_hold_only_what_the_layout_draws():
    fit = FrameFit((480, 640), (64, 80))
    stabiliser = Stabiliser(StabiliserOptions(lookahead=20))
    sink = Sink(
        LAYOUTS["enhanced"], FlowScale(), fit, writer=None, window=Screen(), stabiliser=stabiliser, status=False
    )
    frames = moving_frames(20, (480, 640))
    tracemalloc.start()
    try:
        for k, frame in enumerate(frames):
            original = Original(Fraction(k, 25), frame.copy(), SceneEvent.SAME)
            flow, mask = np.zeros((2, 64, 80), np.float32), np.full((64, 80), 255, np.uint8)
            sink.show(Output(FRAMES[k], flow, mask, True, k, original, 1.0))
            if k == 9:
                half = tracemalloc.get_traced_memory()[0]
        grown = tracemalloc.get_traced_memory()[0] - half
    finally:
        tracemalloc.stop()
    assert sink.taken == 20
    assert grown < 5 * frames[0].nbytes, "ten more frames wait, and none of them at the size of the video"


@pytest.mark.parametrize("lookahead", [0, 4])
@pytest.mark.parametrize("layout", ["enhanced", "side-by-side", "grid"])
def test_all_tiles_of_a_picture_are_of_one_frame(monkeypatch, layout, lookahead):
    monkeypatch.setattr(Stabiliser, "apply", lambda self, picture, correction: picture)
    monkeypatch.setattr(layouts, "caption", lambda picture, text: picture)
    shown = []
    for stabiliser in (None, Stabiliser(StabiliserOptions(lookahead=lookahead))):
        screen = Screen()
        sink = make_sink(screen, layout=layout, stabiliser=stabiliser)
        for k in range(8):
            flow, mask = np.full((2, 64, 80), k, np.float32), np.full((64, 80), 100 + 20 * k, np.uint8)
            sink.show(_result(k).replace(flow=flow, mask=mask))
        sink.flush()
        shown.append(screen.pictures)
    plain, steady = shown
    assert len(plain) == len(steady) == 8
    assert all(np.array_equal(one, other) for one, other in zip(plain, steady, strict=True))


def test_a_borrowed_result_is_copied_before_it_waits():
    screen = Screen()
    sink = make_sink(screen, stabiliser=Stabiliser(StabiliserOptions(lookahead=2)))
    memory = np.zeros((64, 80, 3), np.uint8)
    lent = memory.view()
    lent.flags.writeable = False
    for k in range(3):
        memory[:] = 100 + k
        sink.show(_result(k).replace(enhanced=lent))
    sink.flush()
    assert [int(picture[32, 40, 0]) for picture in screen.pictures] == [100, 101, 102]


def test_a_late_result_leaves_the_order_of_those_that_wait():
    screen = Screen()
    sink = make_sink(screen, stabiliser=Stabiliser(StabiliserOptions(lookahead=3)))
    for k in range(5):
        sink.show(_result(k))
    sink.show_raw(Fraction(5, 25), FRAMES[5], "RAW: engine late")
    sink.follow(_result(5))
    for k in range(6, 12):
        sink.show(_result(k))
    sink.flush()
    assert [is_warned(one) for one in screen.pictures] == [False] * 5 + [True] + [False] * 6
    assert (sink.frames, sink.taken, sink.counts.raw) == (12, 12, 1)
