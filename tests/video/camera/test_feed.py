"""Cameras that are slower or faster than their reader, break or hang."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from mostnet.contract import VideoError
from mostnet.video.camera.feed import CameraFeed

from .fakes import FRAMES, FakeCamera, opener


def _end(feed: CameraFeed, *cameras: FakeCamera) -> None:
    for camera in cameras:
        camera.closed.set()
    feed.close()


def test_a_slow_consumer_gets_the_newest_frames_and_the_rest_is_counted():
    camera = FakeCamera(list(FRAMES[:20]))
    feed = CameraFeed(opener(camera))
    assert camera.given.wait(5)
    first, second = feed.next(1), feed.next(1)
    assert np.array_equal(first.frame, FRAMES[18]) and np.array_equal(second.frame, FRAMES[19])
    assert first.is_first and not second.is_first, "the mark of a new camera outlives the dropped frame that had it"
    assert feed.dropped == 18
    assert feed.next(0.01) is None
    _end(feed, camera)


def test_a_camera_that_breaks_is_reopened():
    cameras = [FakeCamera([FRAMES[0], VideoError("camera 0: gone")]), FakeCamera([FRAMES[1]])]
    feed = CameraFeed(opener(cameras[0], VideoError("no"), cameras[1]), retry_s=0.02)
    found = [feed.next(2), feed.next(2)]
    assert [one.is_first for one in found] == [True, True]
    assert np.array_equal(found[1].frame, FRAMES[1])
    assert found[1].time_s > found[0].time_s
    assert (feed.reconnects, feed.problem) == (1, "")
    assert cameras[0].closed.is_set()
    _end(feed, cameras[1])


def test_a_hung_camera_is_reopened():
    hanging, fresh = FakeCamera([FRAMES[0]]), FakeCamera([FRAMES[1]])
    feed = CameraFeed(opener(hanging, fresh), stall_s=0.1, retry_s=0.02)
    assert feed.next(1).is_first
    limit = time.monotonic() + 5
    while (found := feed.next(0.05)) is None and time.monotonic() < limit:
        pass
    assert np.array_equal(found.frame, FRAMES[1]) and found.is_first
    assert feed.reconnects == 1
    _end(feed, hanging, fresh)


@pytest.mark.parametrize("kind", ["no picture", "hangs while it opens"])
def test_a_camera_that_hangs_after_it_broke_is_reopened_too(kind):
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


def test_a_camera_that_never_comes_back_is_an_error():
    camera = FakeCamera([FRAMES[0], VideoError("camera 0: gone")])
    feed = CameraFeed(opener(camera, *[VideoError("camera 0: cannot be opened")] * 3), retry_s=0.01, attempts=3)
    feed.next(1)
    with pytest.raises(VideoError, match="camera 0: cannot be opened; gave up after 3 attempts to reopen it"):
        feed.next(5)
    _end(feed)


def test_any_error_of_a_camera_is_told_at_once_and_the_camera_is_reopened():
    cameras = [FakeCamera([FRAMES[0], OSError("the cable\nis out")]), FakeCamera([FRAMES[1]])]
    retry = threading.Event()

    def open_source() -> FakeCamera:
        if len(cameras) < 2:
            assert retry.wait(5)
        return cameras.pop(0)

    first, second = cameras
    feed = CameraFeed(open_source, retry_s=0.01)
    assert feed.next(2).is_first
    assert first.closed.wait(5)
    assert feed.problem == "camera fault: OSError: the cable is out"
    retry.set()
    found = feed.next(2)
    assert np.array_equal(found.frame, FRAMES[1]) and found.is_first
    assert (feed.reconnects, feed.problem) == (1, "")
    _end(feed, second)


def test_any_error_of_reopening_counts_as_a_failed_attempt():
    camera = FakeCamera([FRAMES[0], VideoError("gone")])
    feed = CameraFeed(opener(camera, OSError("busy"), ValueError()), retry_s=0.01, attempts=2)
    feed.next(1)
    with pytest.raises(VideoError, match="camera fault: ValueError; gave up after 2 attempts to reopen it"):
        feed.next(5)
    assert feed.problem == "camera fault: ValueError"
    _end(feed)


class Stuck(FakeCamera):
    """Cannot be closed."""

    def close(self) -> None:
        raise OSError("close failed")


def test_a_camera_that_cannot_be_closed_is_told_in_the_log(caplog):
    camera = Stuck([FRAMES[0]])
    feed = CameraFeed(opener(camera))
    feed.next(2)
    _end(feed, camera)
    assert caplog.messages == ["the camera failed while it was closed: camera fault: OSError: close failed"]


def test_a_camera_that_cannot_be_closed_is_reopened_too():
    second = FakeCamera([FRAMES[1]])
    feed = CameraFeed(opener(Stuck([FRAMES[0], VideoError("gone")]), second), retry_s=0.01)
    assert [feed.next(2).is_first, feed.next(2).is_first] == [True, True]
    _end(feed, second)
