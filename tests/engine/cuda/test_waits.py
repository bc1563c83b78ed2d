"""Waits for the GPU: in C without a limit, by sleeping and asking with one, on a clock that the test sets."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from mostnet.bench.gpu.standin.toy import frame_of
from mostnet.engine.cuda import clock as cuda_clock
from mostnet.engine.cuda import streams as cuda_streams
from mostnet.engine.cuda import waits as cuda_waits
from mostnet.engine.cuda.clock import ClockAnchor
from mostnet.engine.cuda.streams import CudaEvent
from mostnet.engine.cuda.waits import poll
from tests.engine.plan_setup import Machine
from tests.toy_graph import assert_reference

FRAMES = [frame_of(number) for number in range(12)]

#: What things take on the test's clock, in microseconds.
ASKING, YIELDING, WAKING = 2, 1, 60


class Time:
    """A clock in microseconds, which only waits move, and a stream of work of chosen lengths.

    Attributes:
        asked: queries so far.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.stream_free = 1_000_000
        self.asked = 0
        monkeypatch.setattr(cuda_waits, "sleep", lambda seconds: self.pass_by(seconds * 1e6 + WAKING))
        monkeypatch.setattr(cuda_waits, "_let_others_run", lambda: self.pass_by(YIELDING))
        for module in (cuda_waits, cuda_streams):
            monkeypatch.setattr(module, "perf_counter", lambda: self.now / 1e6)

    def pass_by(self, microseconds: float) -> None:
        self.now += microseconds

    def event(self) -> CudaEvent:
        """An event of the engine on this clock."""
        device = SimpleNamespace(driver=SimpleNamespace(Event=lambda: TimedEvent(self), Error=OSError))
        start = TimedEvent(self)
        return CudaEvent(device, SimpleNamespace(anchor=lambda: ClockAnchor(start, 0.0, 0.0)))

    def late_by(self, event: CudaEvent, took: float, *, limit_ms: float = 1000, idle: float = 0) -> float:
        """Enqueue work that takes ``took``, wait for it from ``idle`` later on, and return how late it is found."""
        self.stream_free = max(self.now, self.stream_free) + took
        event.record_on(self)
        self.now += idle
        assert event.wait(limit_ms)
        return self.now - event.raw.reached


class TimedEvent:
    """An event of pycuda, reached when its stream has done the work before it."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.reached = 0.0

    def record(self, stream: Time) -> None:
        self.reached = stream.stream_free

    def query(self) -> bool:
        self.time.asked += 1
        self.time.pass_by(ASKING)
        return self.time.now >= self.reached

    def time_till(self, later: TimedEvent) -> float:
        return (later.reached - self.reached) / 1e3


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def test_poll_waits_no_longer_than_told() -> None:
    device = SimpleNamespace(driver=SimpleNamespace(Error=OSError))
    answers = iter([False] * 3 + [True])
    assert poll(device, lambda: next(answers), None)
    begun_s = time.perf_counter()
    assert not poll(device, lambda: False, 20)
    assert time.perf_counter() - begun_s >= 0.02
    assert not poll(device, lambda: False, 0)
    assert poll(device, lambda: True, 0)


def test_a_first_wait_asks_at_once(clock: Time) -> None:
    assert clock.late_by(clock.event(), 900) < 10


@pytest.mark.parametrize("took", [1_000, 10_000, 40_000])
def test_a_wait_sleeps_as_long_as_the_last_one_took(clock: Time, took: float) -> None:
    event = clock.event()
    clock.late_by(event, took)
    clock.asked = 0
    assert clock.late_by(event, took) < 10
    assert clock.asked < 80 + took / 1e3, "it asks while it should sleep"


def test_work_that_gets_faster_is_late_once(clock: Time) -> None:
    event = clock.event()
    clock.late_by(event, 30_000)
    assert clock.late_by(event, 3_000) < 1_200
    assert clock.late_by(event, 3_000) < 10


def test_work_that_gets_slower_is_found_between_naps(clock: Time) -> None:
    event = clock.event()
    clock.late_by(event, 3_000)
    assert clock.late_by(event, 30_000) < 120
    assert clock.late_by(event, 30_000) < 10


def test_a_queue_in_the_stream_is_part_of_the_time(clock: Time) -> None:
    events = [clock.event() for _ in range(3)]
    late = []
    for number in range(12):
        event = events[number % 3]
        clock.stream_free = max(clock.now, clock.stream_free) + 4_000
        event.record_on(clock)
        if number >= 2:
            oldest = events[(number - 2) % 3]
            clock.asked = 0
            assert oldest.wait(1000)
            late.append(clock.now - oldest.raw.reached)
    assert max(late[6:]) < 10
    assert clock.asked < 90


def test_a_wait_that_begins_late_does_not_sleep(clock: Time) -> None:
    event = clock.event()
    clock.late_by(event, 3_000)
    assert clock.late_by(event, 3_000, idle=2_900) < 10


def test_the_limit_ends_a_long_sleep(clock: Time) -> None:
    event = clock.event()
    clock.late_by(event, 500_000)
    clock.stream_free = clock.now + 500_000
    event.record_on(clock)
    begun = clock.now
    assert not event.wait(5.5)
    assert 5_500 <= clock.now - begun < 5_700


def test_without_a_limit_a_frame_is_waited_for_in_c(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_clock, "_ANCHOR_LIFE_S", 1e9)  # setting the clock asks
    with machine.open() as engine:
        machine.gpu.calls.clear()
        assert_reference([engine.infer(frame) for frame in FRAMES], FRAMES)
        engine.reset()
        assert_reference(engine.stream(FRAMES), FRAMES)
        assert machine.gpu.calls["cuEventSynchronize"] == 24
        assert machine.gpu.calls["cuEventQuery"] == 0


def test_with_a_limit_no_call_blocks(machine: Machine) -> None:
    with machine.open(timeout_ms=20_000) as engine:
        machine.gpu.calls.clear()
        assert_reference([engine.infer(frame) for frame in FRAMES], FRAMES)
        engine.reset()
        assert_reference(engine.stream(FRAMES), FRAMES)
        assert machine.gpu.calls["cuEventSynchronize"] == machine.gpu.calls["cuStreamSynchronize"] == 0
