"""Live cameras that are slow, hang, break or freeze, and engines that are late or fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from mostnet.contract import DeviceError, VideoError
from mostnet.engine import Output
from mostnet.video import LAYOUTS, FlowScale, Stabiliser
from mostnet.video.failsafe import FailSafe
from mostnet.video.feed import CameraFeed
from mostnet.video.live import Live
from mostnet.video.policies import SceneEvent
from mostnet.video.sink import Sink
from mostnet.video.stages import Original

from .video_samples import FakeEngine, moving_frames

FRAMES = moving_frames(60, (64, 80))


class _Screen:
    """Keeps what was shown."""

    def __init__(self) -> None:
        self.pictures: list[np.ndarray] = []
        self.closed = False

    def show(self, picture: np.ndarray) -> None:
        self.pictures.append(picture)

    def close(self) -> None:
        self.closed = True


class FakeCamera:
    """Gives ``script``: frames, pauses in seconds, or an error; then waits until it is closed."""

    size_hw = (64, 80)
    fps = Fraction(25)

    def __init__(self, script: list[object], *, screen: _Screen | None = None) -> None:
        """With a ``screen``, a frame is given once as many pictures have been shown as came before it."""
        self._script = script
        self._screen = screen
        self.closed = threading.Event()
        self.given = threading.Event()

    def pictures(self) -> Iterator[tuple[Fraction, np.ndarray]]:
        for place, item in enumerate(self._script):
            limit = time.monotonic() + 5
            while self._screen and len(self._screen.pictures) < place and time.monotonic() < limit:
                time.sleep(0.002)
            if isinstance(item, Exception):
                raise item
            if isinstance(item, float):
                time.sleep(item)
            else:
                yield Fraction(0), item
        self.given.set()
        self.closed.wait(5)

    def close(self) -> None:
        self.closed.set()


def _opener(*cameras: object) -> Callable[[], FakeCamera]:
    waiting = list(cameras)

    def open_source() -> FakeCamera:
        camera = waiting.pop(0)
        if isinstance(camera, Exception):
            raise camera
        return camera

    return open_source


def _end(feed: CameraFeed, *cameras: FakeCamera) -> None:
    for camera in cameras:
        camera.closed.set()
    feed.close()


def test_a_slow_consumer_gets_the_newest_frames_and_the_rest_is_counted():
    camera = FakeCamera(list(FRAMES[:20]))
    feed = CameraFeed(_opener(camera))
    assert camera.given.wait(5)
    first, second = feed.next(1), feed.next(1)
    assert np.array_equal(first.frame, FRAMES[18]) and np.array_equal(second.frame, FRAMES[19])
    assert first.is_first and not second.is_first, "the mark of a new camera outlives the dropped frame that had it"
    assert feed.dropped == 18
    assert feed.next(0.01) is None
    _end(feed, camera)


def test_a_camera_that_breaks_is_opened_again():
    cameras = [FakeCamera([FRAMES[0], VideoError("camera 0: gone")]), FakeCamera([FRAMES[1]])]
    feed = CameraFeed(_opener(cameras[0], VideoError("no"), cameras[1]), retry_s=0.02)
    found = [feed.next(2), feed.next(2)]
    assert [one.is_first for one in found] == [True, True]
    assert np.array_equal(found[1].frame, FRAMES[1])
    assert found[1].time_s > found[0].time_s
    assert (feed.reconnects, feed.problem) == (1, "")
    assert cameras[0].closed.is_set()
    _end(feed, cameras[1])


def test_a_camera_that_hangs_is_left_behind():
    hanging, fresh = FakeCamera([FRAMES[0]]), FakeCamera([FRAMES[1]])
    feed = CameraFeed(_opener(hanging, fresh), stall_s=0.1, retry_s=0.02)
    assert feed.next(1).is_first
    limit = time.monotonic() + 5
    while (found := feed.next(0.05)) is None and time.monotonic() < limit:
        pass
    assert np.array_equal(found.frame, FRAMES[1]) and found.is_first
    assert feed.reconnects == 1
    _end(feed, hanging, fresh)


def test_a_camera_that_never_comes_back_is_an_error():
    camera = FakeCamera([FRAMES[0], VideoError("camera 0: gone")])
    feed = CameraFeed(_opener(camera, *[VideoError("camera 0: cannot be opened")] * 3), retry_s=0.01, attempts=3)
    feed.next(1)
    with pytest.raises(VideoError, match="camera 0: cannot be opened; gave up after 3 attempts to open it again"):
        feed.next(5)
    _end(feed)


class _Engine:
    """``infer`` does what ``acts`` says for each call: sleeps, raises, or is quick."""

    def __init__(self, acts: list[object]) -> None:
        self.metadata = FakeEngine((64, 80)).metadata
        self._acts = acts
        self.calls = self.resets = 0
        self.gate = threading.Event()

    def infer(self, frame: np.ndarray, *, timestamp: object = None) -> Output:
        act = self._acts[self.calls] if self.calls < len(self._acts) else None
        self.calls += 1
        if isinstance(act, Exception):
            raise act
        if act == "late":
            self.gate.wait(5)
        flow, mask = np.zeros((2, 64, 80), np.float32), np.full((64, 80), 255, np.uint8)
        return Output(255 - frame, flow, mask, True, self.calls - 1, timestamp, 1.0)

    def reset(self) -> None:
        self.resets += 1


def test_a_late_frame_is_not_waited_for_and_its_motion_is_not_lost():
    engine = _Engine([None, "late", None])
    safe = FailSafe(engine, period_ms=20, limit_ms=500)
    assert safe.infer(FRAMES[0]).output.frame_id == 0
    begun = time.monotonic()
    late = safe.infer(FRAMES[1])
    assert (late.output, late.problem) == (None, "engine late")
    assert time.monotonic() - begun < 10
    assert safe.infer(FRAMES[2]).problem == "engine late"
    assert engine.calls == 2, "a busy engine is given nothing more"
    engine.gate.set()
    limit = time.monotonic() + 5
    while (found := safe.infer(FRAMES[3])).output is None and time.monotonic() < limit:
        pass
    assert [one.frame_id for one in found.late] == [1]
    assert found.output.frame_id == 2
    safe.close()
    safe.close()


def test_a_fault_is_told_and_the_next_frame_goes_on():
    safe = FailSafe(_Engine([DeviceError("the GPU\nfell off"), None]), period_ms=1000)
    failed = safe.infer(FRAMES[0])
    assert (failed.output, failed.problem) == (None, "engine fault: the GPU fell off")
    assert safe.infer(FRAMES[1]).output is not None
    safe.close()


@pytest.mark.parametrize(("usual_s", "limit_ms"), [(0.001, 40), (0.1, 150), (60.0, 2000)])
def test_a_frame_is_waited_for_by_what_is_usual_within_bounds(usual_s, limit_ms):
    safe = FailSafe(_Engine([]), period_ms=40)
    assert safe.limit_ms == 2000, "nothing is known yet"
    safe._latencies.extend([usual_s] * 10)
    assert safe.limit_ms == pytest.approx(limit_ms)
    safe.close()


def _sink(screen: _Screen, *, status: bool = False, stabiliser: Stabiliser | None = None) -> Sink:
    return Sink(
        LAYOUTS["enhanced"], FlowScale(), (64, 80), writer=None, window=screen, stabiliser=stabiliser, status=status
    )


def _go(live: Live, screen: _Screen, count: int, **options: object) -> Sink:
    sink = _sink(screen, **options)
    limit = time.monotonic() + 10
    live.pump(sink, None, lambda: sink.frames >= count or time.monotonic() > limit)
    live.close()
    return sink


def _is_warned(picture: np.ndarray) -> bool:
    return picture[-1, 40].tolist() == [60, 60, 255]


def test_an_engine_that_fails_shows_the_raw_frame_labelled_at_once():
    screen = _Screen()
    camera = FakeCamera(list(FRAMES[:6]), screen=screen)
    engine = _Engine([None, None, DeviceError("no"), None])
    live = Live(0, engine, None, open_source=_opener(camera), late_ms=5000)
    sink = _go(live, screen, 6)
    camera.closed.set()
    assert [_is_warned(one) for one in screen.pictures] == [False, False, True, False, False, False]
    assert np.array_equal(screen.pictures[2][40:60, 10:70], FRAMES[2][40:60, 10:70]), "the camera's own frame"
    assert sink.counts.raw == 1


def test_a_frozen_or_missing_picture_is_never_taken_for_a_live_one():
    screen = _Screen()
    camera = FakeCamera([*FRAMES[:3], 0.3, *[FRAMES[2]] * 3], screen=screen)
    live = Live(0, _Engine([]), None, open_source=_opener(camera))
    _go(live, screen, 8)
    camera.closed.set()
    assert [_is_warned(one) for one in screen.pictures[:3]] == [False] * 3
    assert all(_is_warned(one) for one in screen.pictures[3:]), "the same picture after over 0.2 s, then none at all"
    assert screen.pictures[-1][40:60, 10:70].mean() < 0.5 * FRAMES[2].mean(), "a missing picture is darkened"


def test_a_new_camera_starts_without_history():
    screen = _Screen()
    first = FakeCamera([*FRAMES[:3], VideoError("camera 0: gone")], screen=screen)
    second = FakeCamera([FRAMES[10], 0.1, FRAMES[11], 0.1, FRAMES[12]])
    engine = _Engine([])
    live = Live(0, engine, None, open_source=_opener(first, second), retry_s=0.02, late_ms=5000)
    _go(live, screen, 8, stabiliser=Stabiliser())
    second.closed.set()
    assert engine.resets == 1 and live.reconnects == 1
    assert sum(not _is_warned(one) for one in screen.pictures) in (5, 6)


def test_a_camera_gone_for_good_ends_the_run_with_its_reason():
    camera = FakeCamera([FRAMES[0], VideoError("camera 0: gone")])
    live = Live(0, _Engine([]), None, open_source=_opener(camera, VideoError("x")), retry_s=0.01, attempts=1)
    _go(live, _Screen(), 99)
    assert "x; gave up after 1 attempts" in str(live.finish())


def _result(k: int) -> Output:
    original = Original(Fraction(k, 25), FRAMES[k], SceneEvent.SAME)
    mask = np.full((64, 80), 255, np.uint8)
    return Output(FRAMES[k], np.zeros((2, 64, 80), np.float32), mask, True, k, original, 1.0)


def test_the_status_can_be_turned_off():
    shown = {}
    for status in (False, True):
        screen = _Screen()
        sink = _sink(screen, status=status, stabiliser=Stabiliser())
        for k in range(4):
            sink.show(_result(k))
        shown[status] = screen.pictures[3]
    assert not np.array_equal(shown[True][40:], shown[False][40:])
    assert np.array_equal(shown[True][:40], shown[False][:40])


def test_a_raw_frame_does_not_overtake_those_that_wait_for_the_future():
    from mostnet.video import StabiliserOptions

    screen = _Screen()
    sink = _sink(screen, stabiliser=Stabiliser(StabiliserOptions(lookahead=3)))
    for k in range(5):
        sink.show(_result(k))
    assert len(screen.pictures) == 2
    sink.show_raw(Fraction(5, 25), FRAMES[5], "RAW: engine late")
    assert len(screen.pictures) == 6
    assert [_is_warned(one) for one in screen.pictures] == [False] * 5 + [True]
    sink.close()
    assert screen.closed


@pytest.mark.parametrize("kind", ["no picture", "hangs while it opens"])
def test_a_camera_that_hangs_after_it_broke_is_left_behind_too(kind):
    first, second, third = FakeCamera([FRAMES[0], VideoError("gone")]), FakeCamera([]), FakeCamera([FRAMES[1]])
    waiting = [first, second, third]

    def open_source() -> FakeCamera:
        camera = waiting.pop(0)
        if camera is second and kind != "no picture":
            second.closed.wait(5)
        return camera

    feed = CameraFeed(open_source, stall_s=0.1, retry_s=0.02, opening_s=0.1)
    assert feed.next(1).is_first
    limit = time.monotonic() + 4
    while (found := feed.next(0.05)) is None and time.monotonic() < limit:
        pass
    assert found is not None and np.array_equal(found.frame, FRAMES[1]) and found.is_first
    _end(feed, second, third)


def test_a_limit_counts_the_pictures_that_wait_for_the_future():
    from mostnet.video import StabiliserOptions

    screen = _Screen()
    camera = FakeCamera(list(FRAMES[:20]))
    live = Live(0, _Engine([]), 2, open_source=_opener(camera))
    sink = _sink(screen, stabiliser=Stabiliser(StabiliserOptions(lookahead=5)))
    live.pump(sink, None, None)
    sink.flush()
    camera.closed.set()
    live.close()
    assert len(screen.pictures) == 2
