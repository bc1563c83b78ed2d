"""The order of work in the ring and how far it overlaps, as the log of the fake lane shows them."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import frame_of, history
from tests.toy_graph import assert_reference

from .backends import collect
from .fake import fake_session

STAGES = ("upload", "execute", "download")


def test_each_frame_passes_its_stages_in_the_next_slot() -> None:
    session, lane = fake_session()
    with session:
        for number in range(10):
            session.infer(frame_of(number))
    assert lane.log == [(stage, number % 3, number) for number in range(10) for stage in STAGES]


@pytest.mark.parametrize("delays_ms", [(0, 0, 0), (8, 1, 1), (1, 8, 1), (1, 1, 8)])
def test_a_reset_clears_the_slot_before_in_its_turn(delays_ms: tuple[float, float, float]) -> None:
    session, lane = fake_session(delays_ms)

    def source() -> Iterator[np.ndarray]:
        for number in range(10):
            if number == 5:
                session.reset()
            yield frame_of(number)

    with session:
        list(session.stream(source()))
    computing = [entry for entry in lane.log if entry[0] in ("clear", "execute")]
    assert computing[4:7] == [("execute", 1, 4), ("clear", 1, -1), ("execute", 2, 5)]


def test_three_stages_overlap() -> None:
    """The stages of three frames in a row stand in one barrier: none gets on before all three are at work."""
    session, lane = fake_session()
    count, barrier = 40, threading.Barrier(3, timeout=20)
    lead = {"upload": 2, "execute": 1, "download": 0}

    def meet(stage: str, number: int) -> None:
        if lead[stage] <= number < count - 2 + lead[stage]:
            barrier.wait()

    lane.enter = meet
    with session:
        outputs, error = collect(session.stream(frame_of(number) for number in range(count)))
    assert error is None, "a stage waited in vain for the other two"
    assert history(outputs[-1].mask)[-3:] == [count - 3, count - 2, count - 1]


@pytest.mark.parametrize("slots", [2, 3, 5])
def test_no_more_frames_are_in_flight_than_there_are_slots(slots: int) -> None:
    session, lane = fake_session(slots=slots)
    with session:
        for _ in session.stream(frame_of(number) for number in range(20)):
            threading.Event().wait(0.005)
    assert lane.most_in_flight == slots
    assert lane.violations == []


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("delays_ms", [(0, 0, 8), (8, 0, 0), (0, 8, 0), (1, 2, 8)])
@pytest.mark.parametrize("slots", [2, 3, 4])
def test_a_failure_takes_back_its_frame_and_all_behind_it_at_any_speed(
    stage: str, delays_ms: tuple[float, float, float], slots: int
) -> None:
    session, lane = fake_session(delays_ms, slots=slots)
    failure = RuntimeError("the device is on fire")
    lane.gate.failures[stage] = (6, failure)
    frames = [frame_of(number) for number in range(20)]
    with session:
        outputs, error = collect(session.stream(frames))
        assert error is failure
        outputs.append(session.infer(frame_of(77)))
        outputs += session.stream([frame_of(78), frame_of(79)])
    assert_reference(outputs, [*frames[:6], frame_of(77), frame_of(78), frame_of(79)])
    assert lane.violations == []


def test_keyboard_interrupt_in_a_stage_is_a_failure_like_others() -> None:
    session, lane = fake_session()
    with session:
        session.infer(frame_of(1))
        lane.gate.failures["execute"] = (0, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            session.infer(frame_of(2))
        assert history(session.infer(frame_of(3)).mask) == [1, 3]


def test_stats_split_the_latency() -> None:
    session, _ = fake_session((20, 60, 5))
    with session:
        for number in range(5):
            session.infer(frame_of(number))
    stats = session.stats
    assert 20 <= stats.copy_in_ms < stats.compute_ms
    assert 5 <= stats.copy_out_ms < stats.copy_in_ms
    assert 0 <= stats.host_ms < stats.copy_in_ms
