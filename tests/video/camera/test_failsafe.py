"""Engines that are late or fail."""

from __future__ import annotations

import time

import pytest

from mostnet.contract import DeviceError, FrameError
from mostnet.video.camera.failsafe import FailSafe

from .fakes import FRAMES, ScriptedEngine


def test_a_late_frame_is_not_waited_for_and_its_motion_is_not_lost():
    engine = ScriptedEngine([None, "late", None])
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


def test_an_error_is_reported_and_the_next_frame_is_processed():
    safe = FailSafe(ScriptedEngine([DeviceError("the GPU\nfell off"), None]), period_ms=1000)
    failed = safe.infer(FRAMES[0])
    assert (failed.output, failed.problem) == (None, "engine fault: the GPU fell off")
    assert safe.infer(FRAMES[1]).output is not None
    safe.close()


def test_a_frame_of_another_size_is_an_error_of_the_caller_and_not_of_the_engine():
    safe = FailSafe(ScriptedEngine([FrameError("frame has shape (72, 128, 3)"), None]), period_ms=1000)
    with pytest.raises(FrameError, match="frame has shape"):
        safe.infer(FRAMES[0])
    assert safe.infer(FRAMES[1]).output is not None
    safe.close()


@pytest.mark.parametrize(("usual_s", "limit_ms"), [(0.001, 40), (0.1, 150), (60.0, 2000)])
def test_the_limit_follows_the_usual_latency_within_bounds(usual_s, limit_ms):
    safe = FailSafe(ScriptedEngine([]), period_ms=40)
    assert safe.limit_ms == 2000, "nothing is known yet"
    safe._latencies.extend([usual_s] * 10)
    assert safe.limit_ms == pytest.approx(limit_ms)
    safe.close()
