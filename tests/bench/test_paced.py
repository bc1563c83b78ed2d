"""A paced camera with made-up clocks and engines of known latency: no test here depends on real speed."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mostnet.bench.paced import ClockRange, PacedCamera, PacedRun, TimeSource, measure_paced

FRAMES = tuple(np.full((2, 2, 3), i, np.uint8) for i in range(3))


class FakeTime:
    """Time that passes in ``sleep``, which may end late, in a fake engine, and by a microsecond when it is read.

    The CPU works all of that time.
    """

    def __init__(self, *, oversleep_s: float = 0.0) -> None:
        self.now_s = 100.0
        self.cpu_s = 0.0
        self.sleeps: list[float] = []
        self.readings = 0
        self._oversleep_s = oversleep_s

    @property
    def source(self) -> TimeSource:
        return TimeSource(now=self.now, sleep=self.sleep, process_cpu=lambda: self.cpu_s, thread_cpu=lambda: self.cpu_s)

    def now(self) -> float:
        self.work(1e-6)
        self.readings += 1
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.work(seconds + self._oversleep_s)

    def work(self, seconds: float) -> None:
        self.now_s += seconds
        self.cpu_s += seconds


class FakeEngine:
    """Runs one frame at a time: frame ``i`` takes ``latencies_ms[i]``, in a loop."""

    provider = "cpu"

    def __init__(self, time: FakeTime, latencies_ms: Sequence[float]) -> None:
        self.frames: list[int] = []
        self.collecting: set[bool] = set()
        self.closed = False
        self._time = time
        self._latencies_ms = latencies_ms

    def infer(self, frame: np.ndarray) -> SimpleNamespace:
        self._time.work(self._latencies_ms[len(self.frames) % len(self._latencies_ms)] / 1e3)
        self.frames.append(int(frame[0, 0, 0]))
        self.collecting.add(gc.isenabled())
        return SimpleNamespace(timestamp=None)

    def stream(self, frames: Iterable[tuple[np.ndarray, float]]) -> Iterator[SimpleNamespace]:
        self.closed = False
        try:
            for frame, timestamp in frames:
                self.infer(frame)
                yield SimpleNamespace(timestamp=timestamp)
        finally:
            self.closed = True


HOW = pytest.mark.parametrize("how", ["stream", "infer"])


def measure(
    latencies_ms: Sequence[float], *, fps: float = 50, seconds: float = 2, oversleep_s: float = 0, **options: Any
) -> tuple[PacedRun, FakeEngine, FakeTime]:
    time = FakeTime(oversleep_s=oversleep_s)
    engine = FakeEngine(time, latencies_ms)
    return measure_paced(engine, FRAMES, fps=fps, seconds=seconds, times=time.source, **options), engine, time


@HOW
def test_latency_counts_from_the_arrival(how: str) -> None:
    run, engine, _ = measure([5.0] * 99 + [12.0], how=how)
    assert (run.how, run.fps, run.arrived, run.unserved) == (how, 50, 100, 0)
    assert run.latency.samples_ms == pytest.approx([5.0] * 99 + [12.0], abs=0.02)
    assert (run.latency.p50_ms, run.latency.max_ms) == pytest.approx((5.0, 12.0), abs=0.02)
    assert run.latency.p99_ms == pytest.approx(5.07, abs=0.02)
    assert run.latency.p999_ms is None, "100 frames have no 99.9th percentile"
    assert run.hand_over.max_ms == pytest.approx(0, abs=0.02)
    assert (run.late, run.late_share, run.held) == (0, 0, 0)
    assert engine.frames == [i % 3 for i in range(100)]
    assert run.gpu_clock is None


@HOW
def test_a_thousand_frames_have_a_p999(how: str) -> None:
    run, _, _ = measure([5.0] * 499 + [9.0], fps=100, seconds=10, how=how)
    assert run.arrived == 1000
    assert run.latency.p99_ms == pytest.approx(5.0, abs=0.02)
    assert run.latency.p999_ms == pytest.approx(9.0, abs=0.02), "two of 1000 frames are slow"


@HOW
def test_a_frame_that_waits_for_a_slow_one_is_late_too(how: str) -> None:
    """One frame of 50 ms at 20 ms per frame: the next two wait for it, and their waits count."""
    run, _, _ = measure([2.0] * 10 + [50.0] + [2.0] * 89, how=how)
    assert run.latency.samples_ms[9:15] == pytest.approx([2, 50, 32, 14, 2, 2], abs=0.02)
    assert run.hand_over.samples_ms[9:15] == pytest.approx([0, 0, 30, 12, 0, 0], abs=0.02)
    assert (run.late, run.held, run.unserved) == (2, 2, 0)
    assert run.late_share == 0.02


@HOW
def test_an_engine_slower_than_the_camera_is_not_hidden(how: str) -> None:
    """At 30 ms per frame and 20 ms per period, each frame waits 10 ms longer than the one before."""
    run, engine, time = measure([30.0], how=how)
    served = len(engine.frames)
    assert served == pytest.approx(100 * 20 / 30, abs=1)
    assert run.latency.samples_ms == pytest.approx([30 + 10 * i for i in range(served)], abs=0.5)
    assert run.arrived == 100 and run.unserved == 100 - served
    assert (run.late, run.held) == (100, 99), "every frame is late, also those that still waited at the end"
    assert time.now_s - 100 == pytest.approx(2.03, abs=0.021), "a slow engine does not prolong the run"


@HOW
def test_a_result_after_exactly_one_period_is_in_time(how: str) -> None:
    assert measure([19.9], how=how)[0].late == 0
    assert measure([5.0] * 50 + [20.1] + [5.0] * 49, how=how)[0].late == 1


@HOW
def test_the_warm_up_is_paced_and_untimed(how: str) -> None:
    run, engine, time = measure([19.0] * 10 + [5.0] * 100, warmup=10, how=how)
    assert len(engine.frames) == 110 and run.arrived == 100
    assert run.latency.max_ms == pytest.approx(5.0, abs=0.02)
    assert engine.collecting == {False}
    assert time.now_s - 100 == pytest.approx(110 / 50 + 0.024, abs=0.01)


@HOW
def test_cpu_time_is_without_the_camera_s(how: str) -> None:
    run, _, _ = measure([5.0], how=how, warmup=3)
    assert run.cpu_ms == pytest.approx(5.0, abs=0.02)


@HOW
def test_the_caller_hears_of_every_result(how: str) -> None:
    ticks: list[int] = []
    measure([1.0], how=how, tick=ticks.append, warmup=2)
    assert ticks == list(range(1, 101))


@HOW
def test_an_interrupt_ends_the_run_and_closes_the_stream(how: str) -> None:
    time = FakeTime()
    engine = FakeEngine(time, [1.0])

    def interrupt(done: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    assert gc.isenabled()
    with pytest.raises(KeyboardInterrupt) as caught:
        measure_paced(engine, FRAMES, fps=50, seconds=2, how=how, tick=interrupt, times=time.source)
    assert len(engine.frames) == 5
    assert engine.closed is (how == "stream"), "not only once the traceback is gone"
    del caught
    assert gc.isenabled()


def test_the_schedule_does_not_drift() -> None:
    time = FakeTime(oversleep_s=0.00015)
    camera = PacedCamera(FRAMES, fps=29.97, count=300, times=time.source)
    arrivals = [arrived_s for _, arrived_s in camera]
    assert arrivals == pytest.approx([100 + (i + 1) / 29.97 for i in range(300)], abs=2e-6)
    assert max(camera.hand_over_ms) < 0.02, "a sleep that ends 0.15 ms late does not delay a frame"


def test_a_sleep_that_ends_later_counts_as_latency() -> None:
    run, _, _ = measure([5.0], oversleep_s=0.003)
    assert run.latency.p50_ms == pytest.approx(7.8, abs=0.02)
    assert run.hand_over.p50_ms == pytest.approx(2.8, abs=0.02)
    assert run.held == 0, "the camera woke late; the engine was ready"


def test_the_camera_sleeps_and_polls_for_a_fifth_of_a_millisecond_only() -> None:
    time = FakeTime()
    list(PacedCamera(FRAMES, fps=10, count=4, times=time.source))
    assert time.sleeps == pytest.approx([0.0998] * 4, abs=2e-5)
    assert time.readings <= 4 * 210, "each reading takes a microsecond"


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown way 'push' to hand in frames; expected one of "):
        measure([1.0], how="push")


def test_clocks_are_summarised() -> None:
    assert ClockRange.of([]) is None
    assert ClockRange.of([210.0, 1980.0, 1500.0]) == ClockRange(210.0, 1500.0, 1980.0, (210.0, 1980.0, 1500.0))


def test_json_has_every_sample_and_the_share() -> None:
    run, _, _ = measure([30.0])
    document = run.to_json()
    assert document["late_share"] == 1.0 and document["how"] == "stream" and document["gpu_clock"] is None
    assert document["latency"]["samples_ms"] == run.latency.samples_ms
    assert document["latency"]["p999_ms"] is None


def test_the_module_needs_neither_opencv_nor_rich() -> None:
    heavy = ["cv2", "av", "rich", "torch", "onnx", "onnxruntime", "matplotlib"]
    code = f"import sys, mostnet.bench.paced; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "the GPU report runs where these are missing"
