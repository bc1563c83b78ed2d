"""The GPU's clock on the host, on a miniature GPU that answers late at chosen tries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from mostnet.bench.gpu.miniature.driver import pycuda_driver
from mostnet.bench.gpu.miniature.gpu import MiniatureEvent, MiniatureGpu, MiniatureStream
from mostnet.bench.gpu.miniature.library import driver_library
from mostnet.bench.gpu.standin.toy import frame_of
from mostnet.engine.cuda import clock as cuda_clock
from mostnet.engine.cuda.clock import Clock, SharedClock
from mostnet.engine.cuda.device import CudaDevice
from mostnet.engine.cuda.streams import CudaEvent, CudaStream
from tests.engine.plan_setup import Machine

#: A machine that does other work answers late too. So a window that these tests call narrow is wider than a real one.
NARROW_S = 2e-3
LATE_S = 8e-3
#: A try lasts longer than a narrow window too.
TRY_S = 5e-3


class SlowGpu(MiniatureGpu):
    """A GPU that reaches the next events ``late`` seconds after their records; ``reached_s`` is when it did."""

    late: Iterator[float] = repeat(0.0)

    def __init__(self) -> None:
        super().__init__()
        self.records = 0
        self.reached_s: dict[MiniatureEvent, float] = {}


class SlowEvent(MiniatureEvent):
    """An event of it. Its queries are false before the event is reached, and its time is that of the host."""

    _gpu: SlowGpu

    def record(self, stream: MiniatureStream) -> None:
        super().record(stream)
        self._gpu.records += 1
        self._gpu.reached_s[self] = time.perf_counter() + next(self._gpu.late)

    def query(self) -> bool:
        return super().query() and time.perf_counter() >= self._gpu.reached_s[self]

    def synchronize(self) -> MiniatureEvent:
        time.sleep(max(0.0, self._gpu.reached_s[self] - time.perf_counter()))
        return super().synchronize()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SlowGpu:
    monkeypatch.setattr(cuda_clock, "_WINDOW_S", NARROW_S)
    monkeypatch.setattr(cuda_clock, "_TRY_S", TRY_S)
    monkeypatch.setattr(cuda_clock, "_DRIFT", 0.0)
    return SlowGpu()


@pytest.fixture
def device(gpu: SlowGpu) -> Iterator[CudaDevice]:
    driver = pycuda_driver(gpu)
    driver.Event = lambda: SlowEvent(gpu)
    made = CudaDevice(driver, driver_library(gpu))
    with made:
        yield made
    gpu.reached_s.clear()


def error_s(gpu: SlowGpu, clock: Clock) -> float:
    """How far the anchor is from the truth."""
    anchor = clock.anchor()
    return abs(anchor.host_s - gpu.reached_s[anchor.event])


def test_the_first_anchor_is_the_narrowest_of_some_tries(gpu: SlowGpu, device: CudaDevice) -> None:
    gpu.late = chain([LATE_S, LATE_S, 0.0], repeat(LATE_S))
    clock = Clock(device)
    assert gpu.records == cuda_clock._TRIES
    assert clock.anchor().window_s < LATE_S
    assert error_s(gpu, clock) <= clock.anchor().window_s / 2


def test_a_gpu_that_is_always_late_gets_a_clock_all_the_same(gpu: SlowGpu, device: CudaDevice) -> None:
    gpu.late = chain([2 * LATE_S], repeat(LATE_S))
    clock = Clock(device)
    assert gpu.records == cuda_clock._TRIES
    assert LATE_S <= clock.anchor().window_s < 2 * LATE_S + NARROW_S


def test_a_late_answer_sets_no_clock(gpu: SlowGpu, device: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(device)
    known, tried = clock.anchor(), gpu.records
    monkeypatch.setattr(cuda_clock, "_ANCHOR_LIFE_S", 0.0)
    gpu.late = chain([LATE_S, LATE_S], repeat(0.0))
    renewed = clock.anchor()
    assert renewed is not known
    assert gpu.records >= tried + 3
    assert renewed.window_s <= max(NARROW_S, known.window_s)
    gpu.late = repeat(LATE_S)
    begun_s = time.perf_counter()
    assert clock.anchor() is renewed
    assert time.perf_counter() - begun_s < cuda_clock._TRIES * LATE_S, "a try ends when it is too late"


def test_a_busy_gpu_leaves_the_clock_as_it_was_and_is_asked_once_a_second(
    gpu: SlowGpu, device: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(device)
    known = clock.anchor()
    monkeypatch.setattr(clock, "_set_s", time.perf_counter() - 1.5)
    gpu.stuck = True
    assert clock.anchor() is known
    tried = gpu.records
    assert clock.anchor() is known
    assert gpu.records == tried


def test_after_long_a_wide_window_is_better_than_drift(
    gpu: SlowGpu, device: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(device)
    known = clock.anchor()
    monkeypatch.setattr(cuda_clock, "_ANCHOR_LIFE_S", 0.0)
    wide_s = (known.window_s + TRY_S) / 2
    gpu.late = repeat(max(wide_s, 1.5 * NARROW_S))
    assert clock.anchor() is known
    monkeypatch.setattr(cuda_clock, "_DRIFT", 2.0)
    time.sleep(LATE_S)
    gpu.late = repeat(LATE_S)
    assert clock.anchor() is known, "it ends each try before"
    gpu.late = repeat(wide_s)
    assert clock.anchor() is not known


def test_a_poor_first_anchor_does_not_make_later_tries_long(
    gpu: SlowGpu, device: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu.late = repeat(3 * LATE_S)
    clock = Clock(device)
    known = clock.anchor()
    monkeypatch.setattr(cuda_clock, "_TRY_S", 5e-4)
    monkeypatch.setattr(cuda_clock, "_ANCHOR_LIFE_S", 0.0)
    gpu.late = repeat(6 * LATE_S)
    begun_s = time.perf_counter()
    assert clock.anchor() is known
    assert time.perf_counter() - begun_s < 2 * LATE_S


def test_the_best_of_some_tries_sets_the_clock(
    gpu: SlowGpu, device: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu.late = repeat(3 * LATE_S)
    clock = Clock(device)
    monkeypatch.setattr(cuda_clock, "_ANCHOR_LIFE_S", 0.0)
    monkeypatch.setattr(cuda_clock, "_TRY_S", 2 * LATE_S)
    gpu.late = chain([LATE_S, 0.4 * LATE_S, LATE_S, LATE_S], repeat(0.0))
    tried = gpu.records
    assert 0.4 * LATE_S <= clock.anchor().window_s < LATE_S
    assert gpu.records == tried + cuda_clock._TRIES


def test_the_clock_is_not_set_within_a_stage(gpu: SlowGpu, device: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(device), CudaStream(device)
    begun, ended = CudaEvent(device, clock), CudaEvent(device, clock)
    monkeypatch.setattr(cuda_clock, "_ANCHOR_LIFE_S", 0.0)
    for _ in range(3):
        old = clock.latest
        stream.record(begun)
        renewed = clock.latest
        assert renewed is not old
        stream.run(lambda stream: None)
        stream.record(ended)
        assert clock.latest is renewed
    assert stream.drain(1000)
    assert ended.time_s >= begun.time_s


def test_the_clock_is_set_again_and_no_time_is_read_backwards(
    gpu: SlowGpu, device: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, stream = Clock(device), CudaStream(device)
    early = CudaEvent(device, clock)
    stream.record(early)
    assert stream.drain(1000)
    monkeypatch.setattr(cuda_clock, "_ANCHOR_LIFE_S", 0.0)
    late = CudaEvent(device, clock)
    old = clock._anchor
    stream.record(late)
    assert clock._anchor is not old
    assert stream.drain(1000)
    assert early.time_s > 0  # against the anchor that it was recorded under
    assert late.time_s > 0
    assert gpu.violations == []


def test_all_lanes_of_a_device_share_one_clock(machine: Machine) -> None:
    with machine.open() as engine:
        alone = machine.gpu.alive["stream"]
        with engine.session(), machine.open():
            assert machine.gpu.alive["stream"] == alone + 2 * (alone - 1)
        engine.infer(frame_of(0))
    machine.check_empty()
    with machine.open() as engine:
        assert machine.gpu.alive["stream"] == alone
        engine.infer(frame_of(0))


def test_a_clock_that_cannot_be_made_has_no_user(gpu: SlowGpu, device: CudaDevice) -> None:
    shared = SharedClock(device)
    gpu.failures["Event"] = (2, device.driver.LogicError("odd failed: invalid value"))
    with pytest.raises(device.driver.Error, match="odd failed") as caught:
        shared.take()
    del caught
    clock = shared.take()
    assert shared.take() is clock
    shared.release()
    assert gpu.alive["stream"] == 1
    shared.release()
    assert gpu.alive["stream"] == 0
    assert shared.take() is not clock
    shared.release()
