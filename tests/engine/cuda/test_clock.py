"""The GPU's clock on the host, on a miniature GPU that answers late at chosen tries. Time itself is simulated."""

from __future__ import annotations

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

#: Later than a try lasts.
LATE_S = 2 * cuda_clock._TRY_S
#: How long the host takes to look at its clock.
LOOK_S = 1e-6


class SlowGpu(MiniatureGpu):
    """A GPU that reaches the next events ``late`` seconds after their records; ``reached_s`` is when it did.

    Attributes:
        now_s: simulated time of the host, which passes only while the host looks at its clock or waits.
    """

    late: Iterator[float] = repeat(0.0)

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1.0
        self.records = 0
        self.reached_s: dict[MiniatureEvent, float] = {}

    def look(self) -> float:
        """The host's ``perf_counter``."""
        self.now_s += LOOK_S
        return self.now_s


class SlowEvent(MiniatureEvent):
    """An event of it. Its queries are false before the event is reached, and its time is that of the host."""

    _gpu: SlowGpu

    def record(self, stream: MiniatureStream) -> None:
        super().record(stream)
        self._gpu.records += 1
        self._gpu.reached_s[self] = self._gpu.now_s + next(self._gpu.late)

    def query(self) -> bool:
        return super().query() and self._gpu.now_s >= self._gpu.reached_s[self]

    def synchronize(self) -> MiniatureEvent:
        self._gpu.now_s = max(self._gpu.now_s, self._gpu.reached_s[self])
        return super().synchronize()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SlowGpu:
    gpu = SlowGpu()
    monkeypatch.setattr(cuda_clock, "perf_counter", gpu.look)
    return gpu


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
    assert LATE_S <= clock.anchor().window_s < 1.1 * LATE_S


def test_a_late_answer_sets_no_clock(gpu: SlowGpu, device: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(device)
    known, tried = clock.anchor(), gpu.records
    monkeypatch.setattr(cuda_clock, "_ANCHOR_LIFE_S", 0.0)
    gpu.late = chain([LATE_S, LATE_S], repeat(0.0))
    renewed = clock.anchor()
    assert renewed is not known
    assert gpu.records == tried + 3
    assert renewed.window_s <= cuda_clock._WINDOW_S
    gpu.late = repeat(LATE_S)
    begun_s = gpu.now_s
    assert clock.anchor() is renewed
    assert gpu.now_s - begun_s < 1.1 * cuda_clock._TRIES * cuda_clock._TRY_S, "a try ends when it is too late"


def test_a_busy_gpu_leaves_the_clock_as_it_was_and_is_asked_once_a_second(gpu: SlowGpu, device: CudaDevice) -> None:
    clock = Clock(device)
    known = clock.anchor()
    gpu.now_s += 1.5
    gpu.stuck = True
    assert clock.anchor() is known
    tried = gpu.records
    assert clock.anchor() is known
    assert gpu.records == tried


def test_after_long_a_wide_window_is_better_than_drift(gpu: SlowGpu, device: CudaDevice) -> None:
    clock = Clock(device)
    known = clock.anchor()
    wide_s = 2 * cuda_clock._WINDOW_S
    gpu.late = repeat(wide_s)
    gpu.now_s += 0.9 * wide_s / cuda_clock._DRIFT
    assert clock.anchor() is known
    assert gpu.records == cuda_clock._TRIES * 2
    gpu.late = repeat(LATE_S)
    gpu.now_s += 2 * cuda_clock._ANCHOR_LIFE_S
    assert clock.anchor() is known, "it ends each try before"
    assert gpu.records == cuda_clock._TRIES * 3
    gpu.late = repeat(wide_s)
    gpu.now_s += 2 * cuda_clock._ANCHOR_LIFE_S
    assert clock.anchor() is not known


def test_a_poor_first_anchor_does_not_make_later_tries_long(
    gpu: SlowGpu, device: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu.late = repeat(3 * LATE_S)
    clock = Clock(device)
    known = clock.anchor()
    monkeypatch.setattr(cuda_clock, "_ANCHOR_LIFE_S", 0.0)
    gpu.late = repeat(6 * LATE_S)
    begun_s = gpu.now_s
    assert clock.anchor() is known
    assert gpu.now_s - begun_s < 1.1 * cuda_clock._TRIES * cuda_clock._TRY_S


def test_the_best_of_some_tries_sets_the_clock(
    gpu: SlowGpu, device: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu.late = repeat(3 * LATE_S)
    clock = Clock(device)
    monkeypatch.setattr(cuda_clock, "_ANCHOR_LIFE_S", 0.0)
    within_s = 0.4 * cuda_clock._TRY_S
    gpu.late = chain([LATE_S, within_s, LATE_S, LATE_S], repeat(0.0))
    tried = gpu.records
    assert within_s <= clock.anchor().window_s < 1.1 * within_s
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
