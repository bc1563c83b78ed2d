"""A live camera through an engine, onto a screen."""

from __future__ import annotations

import time

import numpy as np

from mostnet.contract import DeviceError, VideoError
from mostnet.video import Stabiliser, StabiliserOptions
from mostnet.video.camera.live import Live
from mostnet.video.guards import SceneEvent
from mostnet.video.sink import Sink

from .fakes import FRAMES, FakeCamera, Screen, ScriptedEngine, is_warned, make_sink, opener


def _go(live: Live, screen: Screen, count: int, **options: object) -> Sink:
    sink = make_sink(screen, **options)
    limit = time.monotonic() + 10
    live.pump(sink, None, lambda: sink.frames >= count or time.monotonic() > limit)
    live.close()
    return sink


def test_an_engine_that_fails_shows_the_raw_frame_labelled_at_once():
    screen = Screen()
    camera = FakeCamera(list(FRAMES[:6]), screen=screen)
    engine = ScriptedEngine([None, None, DeviceError("no"), None])
    live = Live(0, engine, None, open_source=opener(camera), late_ms=5000)
    sink = _go(live, screen, 6)
    camera.closed.set()
    assert [is_warned(one) for one in screen.pictures] == [False, False, True, False, False, False]
    assert np.array_equal(screen.pictures[2][40:60, 10:70], FRAMES[2][40:60, 10:70]), "the camera's own frame"
    assert sink.counts.raw == 1


def test_with_a_look_ahead_a_raw_frame_comes_at_once_and_in_order():
    screen = Screen()
    camera = FakeCamera([item for frame in FRAMES[:30] for item in (frame, 0.02)])
    engine = ScriptedEngine([*[None] * 6, DeviceError("no")])
    live = Live(0, engine, 12, open_source=opener(camera), late_ms=5000)
    sink = make_sink(screen, stabiliser=Stabiliser(StabiliserOptions(lookahead=3)))
    live.pump(sink, None, None)
    assert [is_warned(one) for one in screen.pictures[:7]] == [False] * 6 + [True]
    assert sink.taken == 12
    assert len(screen.pictures) == 9, "three frames wait"
    sink.flush()
    camera.closed.set()
    live.close()
    assert len(screen.pictures) == 12


def test_a_frozen_or_missing_picture_is_never_taken_for_a_live_one():
    screen = Screen()
    camera = FakeCamera([*FRAMES[:3], 0.3, *[FRAMES[2]] * 3], screen=screen)
    live = Live(0, ScriptedEngine([]), None, open_source=opener(camera))
    _go(live, screen, 8)
    camera.closed.set()
    assert [is_warned(one) for one in screen.pictures[:3]] == [False] * 3
    assert all(is_warned(one) for one in screen.pictures[3:]), "the same picture after over 0.2 s, then none at all"
    assert screen.pictures[-1][40:60, 10:70].mean() < 0.5 * FRAMES[2].mean(), "a missing picture is darkened"


def test_a_new_camera_starts_without_history():
    screen, steady = Screen(), _Events()
    first = FakeCamera([*FRAMES[:3], VideoError("camera 0: gone")], screen=screen)
    second = FakeCamera([FRAMES[10], 0.1, FRAMES[11], 0.1, FRAMES[12]])
    engine = ScriptedEngine([])
    live = Live(0, engine, None, open_source=opener(first, second), retry_s=0.02, late_ms=5000)
    _go(live, screen, 8, stabiliser=steady)
    second.closed.set()
    assert engine.resets == 1 and live.reconnects == 1
    assert steady.seen == [SceneEvent.SAME] * 3 + [SceneEvent.CUT] + [SceneEvent.SAME] * (len(steady.seen) - 4)
    assert sum(not is_warned(one) for one in screen.pictures) in (5, 6)


class _Events(Stabiliser):
    """Records the event of each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[SceneEvent | None] = []

    def update(self, output, frame, *, event=None):
        self.seen.append(event)
        return super().update(output, frame, event=event)


def test_the_stabiliser_learns_of_a_cut_at_a_frame_without_a_result():
    screen, steady = Screen(), _Events()
    other = np.ascontiguousarray(255 - FRAMES[0][::-1])
    camera = FakeCamera([*FRAMES[:3], other, np.roll(other, 1, 0), np.roll(other, 2, 0)], screen=screen)
    live = Live(
        0, ScriptedEngine([None, None, None, DeviceError("no")]), None, open_source=opener(camera), late_ms=5000
    )
    _go(live, screen, 6, stabiliser=steady)
    camera.closed.set()
    assert steady.seen == [SceneEvent.SAME] * 3 + [SceneEvent.CUT, SceneEvent.SAME]


def test_a_camera_gone_for_good_ends_the_run_with_its_reason():
    camera = FakeCamera([FRAMES[0], VideoError("camera 0: gone")])
    live = Live(0, ScriptedEngine([]), None, open_source=opener(camera, VideoError("x")), retry_s=0.01, attempts=1)
    _go(live, Screen(), 99)
    assert "x; gave up after 1 attempts" in str(live.finish())


def test_a_limit_counts_the_pictures_that_wait_for_the_future():
    screen = Screen()
    camera = FakeCamera(list(FRAMES[:20]))
    live = Live(0, ScriptedEngine([]), 2, open_source=opener(camera))
    sink = make_sink(screen, stabiliser=Stabiliser(StabiliserOptions(lookahead=5)))
    live.pump(sink, None, None)
    sink.flush()
    camera.closed.set()
    live.close()
    assert len(screen.pictures) == 2
