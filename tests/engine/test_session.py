"""``infer``, ``reset`` and the rules of use, on the fake lane."""

import logging
import os
import signal
import threading
import time

import numpy as np
import pytest

from mostnet.contract import EngineBusyError, EngineClosedError, EngineTimeoutError, FrameError

from .fake import NAN, fake_session, frame_of, history


def test_state_goes_round_the_ring_and_is_never_copied() -> None:
    session, lane = fake_session()
    with session:
        outputs = [session.infer(frame_of(number), timestamp=f"t{number}") for number in range(10)]
    assert history(outputs[-1]) == list(range(10))
    assert [output.frame_id for output in outputs] == list(range(10))
    assert outputs[4].timestamp == "t4"
    assert [output.enhanced[5, 5, 1] for output in outputs] == list(range(10))
    stages = [(stage, number % 3, number) for number in range(10) for stage in ("upload", "execute", "download")]
    assert lane.log == stages
    assert lane.violations == []


def test_two_slots_do_and_one_does_not() -> None:
    session, _ = fake_session(slots=2)
    with session:
        assert history([session.infer(frame_of(number)) for number in range(5)][-1]) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="slots is 1; expected at least 2"):
        fake_session(slots=1)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ([1, 2], "frame is a list, not a numpy array"),
        (np.zeros((64, 64, 3), np.float32), "dtype float32"),
        (np.zeros((64, 32, 3), np.uint8), r"shape \(64, 32, 3\); expected uint8 BGR of shape \(64, 64, 3\)"),
    ],
)
def test_a_refused_frame_changes_nothing(frame: object, text: str) -> None:
    session, lane = fake_session()
    with session:
        session.infer(frame_of(1))
        session.reset()
        with pytest.raises(FrameError, match=text):
            session.infer(frame)
        output = session.infer(frame_of(2))
        assert output.frame_id == 1
        assert history(output) == [2]
        assert lane.done("upload") == [1, 2]


def test_reset_zeroes_the_slot_before_the_next_one() -> None:
    session, lane = fake_session()
    with session:
        session.infer(frame_of(1))
        session.reset()
        session.reset()
        output = session.infer(frame_of(2))
        assert history(output) == [2]
        assert output.frame_id == 1
        assert session.stats.resets == 2
    assert lane.log[3:6] == [("upload", 1, 2), ("clear", 0, -1), ("execute", 1, 2)]


@pytest.mark.parametrize("stage", ["upload", "execute", "download"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_failed_frame_does_not_count(stage: str, asynchronous: bool) -> None:
    session, lane = fake_session(asynchronous=asynchronous)
    failure = RuntimeError("the device is on fire")
    with session:
        for number in range(4):
            session.infer(frame_of(number))
        lane.failures[stage, 4] = failure
        with pytest.raises(RuntimeError) as caught:
            session.infer(frame_of(4))
        assert caught.value is failure
        output = session.infer(frame_of(5))
        assert history(output) == [0, 1, 2, 3, 5]
        assert output.frame_id == 5


@pytest.mark.parametrize("stage", ["upload", "execute", "download"])
def test_a_reset_outlives_the_frame_that_failed(stage: str) -> None:
    session, lane = fake_session()
    with session:
        session.infer(frame_of(1))
        session.reset()
        lane.failures[stage, 2] = RuntimeError("once")
        with pytest.raises(RuntimeError, match="once"):
            session.infer(frame_of(2))
        assert history(session.infer(frame_of(3))) == [3]


def test_keyboard_interrupt_in_a_stage_is_a_failure_like_others() -> None:
    session, lane = fake_session()
    with session:
        session.infer(frame_of(1))
        lane.failures["execute", 2] = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            session.infer(frame_of(2))
        assert history(session.infer(frame_of(3))) == [1, 3]


def test_heals_are_counted_and_the_first_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    session, _ = fake_session()
    with session, caplog.at_level(logging.WARNING, "mostnet"):
        finite = [session.infer(frame_of(number)).finite for number in (1, NAN, 2, NAN)]
        assert session.stats.heals == 2
    assert finite == [True, False, True, False]
    assert [record.getMessage().split(" and")[0] for record in caplog.records] == ["frame 1 came out NaN or infinite"]


def test_stats_split_the_latency() -> None:
    session, _ = fake_session((20, 60, 5))
    with session:
        outputs = [session.infer(frame_of(number)) for number in range(5)]
    stats = session.stats
    assert stats.frames == 5
    assert 20 <= stats.copy_in_ms < stats.compute_ms
    assert 5 <= stats.copy_out_ms < stats.copy_in_ms
    mean_ms = sum(output.latency_ms for output in outputs) / 5
    split_ms = stats.copy_in_ms + stats.compute_ms + stats.copy_out_ms + stats.host_ms
    assert split_ms == pytest.approx(mean_ms)
    assert 0 <= stats.host_ms < stats.copy_in_ms


def test_a_late_inline_frame_is_reported_and_stays_in_the_state() -> None:
    session, lane = fake_session(timeout_ms=1000)
    with session:
        session.infer(frame_of(1))
        lane.delays_ms["execute"] = 20
        with pytest.raises(EngineTimeoutError, match=r"frame 1 was not ready after \d+ ms \(timeout_ms is 5\)"):
            session.infer(frame_of(2), timeout_ms=5)
        output = session.infer(frame_of(3))
        assert history(output) == [1, 2, 3]
        assert output.enhanced[0, 0, 0] == 3


def test_after_a_timeout_the_next_call_waits_for_the_late_frame() -> None:
    session, lane = fake_session((0, 150, 0), asynchronous=True)
    with session:
        with pytest.raises(EngineTimeoutError, match=r"frame 0 was not ready after \d+ ms \(timeout_ms is 20\)"):
            session.infer(frame_of(1), timeout_ms=20)
        with pytest.raises(EngineTimeoutError, match="up to frame 0, are not done after another"):
            session.infer(frame_of(2), timeout_ms=20)
        assert lane.done("upload") == [1]
        output = session.infer(frame_of(3))
        assert (output.frame_id, output.enhanced[0, 0, 0], history(output)) == (1, 3, [1, 3])
    assert lane.violations == []


@pytest.mark.parametrize("timeout_ms", [0, -1, float("nan")])
def test_a_timeout_must_be_positive(timeout_ms: float) -> None:
    session, _ = fake_session()
    with session, pytest.raises(ValueError, match="expected milliseconds above 0"):
        session.infer(frame_of(1), timeout_ms=timeout_ms)


def test_two_threads_at_once_are_refused_and_one_after_the_other_is_fine() -> None:
    session, lane = fake_session((0, 100, 0))
    with session:
        thread = threading.Thread(target=session.infer, args=[frame_of(1)])
        thread.start()
        while not lane.done("upload"):
            time.sleep(0.001)
        with pytest.raises(EngineBusyError, match=r"take one engine.session\(\) per thread"):
            session.infer(frame_of(2))
        thread.join()
        assert history(session.infer(frame_of(3))) == [1, 3]


def test_close_twice_and_use_after_it() -> None:
    session, lane = fake_session()
    session.infer(frame_of(1))
    session.close()
    session.close()
    assert lane.closed == 1
    for call in (lambda: session.infer(frame_of(1)), lambda: session.stream([]), session.reset):
        with pytest.raises(EngineClosedError, match="is closed; open a new Engine"):
            call()
    assert session.stats.frames == 1


def test_close_lets_an_infer_in_another_thread_finish() -> None:
    session, lane = fake_session((0, 100, 0))
    outputs = []
    thread = threading.Thread(target=lambda: outputs.append(session.infer(frame_of(1))))
    thread.start()
    while not lane.done("upload"):
        time.sleep(0.001)
    session.close()
    assert lane.closed == 0
    with pytest.raises(EngineClosedError):
        session.infer(frame_of(2))
    thread.join()
    assert history(outputs[0]) == [1]
    assert lane.closed == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_is_refused() -> None:
    session, _ = fake_session()
    with session:
        running = session.stream(frame_of(number) for number in range(50))
        next(running)
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            status = 1
            try:
                session.infer(frame_of(1))
            except EngineClosedError as error:
                session.close()
                running.close()
                status = 0 if "forked from it" in str(error) else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert history(next(running)) == [0, 1]
