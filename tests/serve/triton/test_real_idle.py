"""Idle times with a real Triton server: a camera that waits for an answer is not idle."""

from __future__ import annotations

from pathlib import Path

import pytest

from mostnet import StateLostError
from mostnet.bench.gpu.standin.toy import frame_of
from mostnet.serve import TritonSession
from mostnet.serve.triton import repository

from .real_server import assert_same, begin_when_free, run, toy_server

IDLE_S = 0.3

#: The frame with this number takes as many idle times.
SLOW = 5

_SLOW_MODEL = f"""
import time

from mostnet.engine import Session

_infer = Session.infer


def _infer_slowly(self, frame):
    time.sleep({SLOW * IDLE_S} if frame[0, 0, 0] == {SLOW} else 0)
    return _infer(self, frame)


Session.infer = _infer_slowly
"""


def test_a_frame_that_takes_longer_than_the_idle_time_keeps_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert frame_of(SLOW)[0, 0, 0] == SLOW
    monkeypatch.setattr(repository, "_MODEL", repository._MODEL + _SLOW_MODEL)
    with toy_server(tmp_path, cameras=1, idle_s=IDLE_S) as server, TritonSession(server.address) as camera:
        numbers = [1, SLOW, 2, 3]
        assert_same(run(camera, numbers), numbers)


def test_triton_still_knows_a_camera_that_lost_its_place(tmp_path: Path) -> None:
    with (
        toy_server(tmp_path, cameras=1, idle_s=IDLE_S) as server,
        TritonSession(server.address) as first,
        TritonSession(server.address) as second,
    ):
        run(first, [1])
        begin_when_free(second, 2)
        with pytest.raises(StateLostError, match="the server has no state of this camera"):
            first.infer(frame_of(3))
        first.reset()
        assert_same([begin_when_free(first, 4)], [4])
