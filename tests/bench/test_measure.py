"""The timing loops on a fake session, and the arithmetic on their samples."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mostnet.bench import measure as measure_module
from mostnet.bench.frames import BenchFrames
from mostnet.bench.measure import Loop, split_between, time_alternately, time_infer, time_stream
from mostnet.bench.overhead import median_interval, summarise_pairs
from mostnet.bench.report import Split
from mostnet.bench.timings import Timings, no_collection
from mostnet.engine import EngineStats

FRAMES = BenchFrames(tuple(np.full((2, 2, 3), i, np.uint8) for i in range(3)), "test")


class FakeSession:
    """Records its frames, and reports 1, 2, 3 and 4 ms for the stages of each."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.collecting: set[bool] = set()

    @property
    def stats(self) -> EngineStats:
        # Warm-up frames are slower, so a split that counts them is wrong.
        slow = min(len(self.frames), 2)
        means = [(k * len(self.frames) + 10 * slow) / max(1, len(self.frames)) for k in (1, 2, 3, 4)]
        return EngineStats(len(self.frames), 0, 0, *means)

    def infer(self, frame: np.ndarray) -> SimpleNamespace:
        self.collecting.add(gc.isenabled())
        self.frames.append(int(frame[0, 0, 0]))
        return SimpleNamespace(latency_ms=float(len(self.frames)))

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[SimpleNamespace]:
        yield from map(self.infer, frames)


def test_infer_loop_leaves_the_warm_up_out_and_repeats_the_frames() -> None:
    session, ticks = FakeSession(), []
    timings, split = time_infer(session, FRAMES, Loop(10, 2, ticks.append))
    assert session.frames == [0, 1, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert len(timings.samples_ms) == 10
    assert ticks == list(range(1, 11))
    assert (split.copy_in_ms, split.compute_ms, split.copy_out_ms, split.host_ms) == pytest.approx((1, 2, 3, 4))
    assert session.collecting == {True, False}, "collection is on in the warm-up and off in the timed loop"


def test_stream_loop_counts_the_frames_after_the_warm_up() -> None:
    session, ticks = FakeSession(), []
    stream = time_stream(session, FRAMES, Loop(10, 3, ticks.append))
    assert len(session.frames) == 13
    assert stream.latency.samples_ms == tuple(range(4, 14))
    assert len(stream.intervals.samples_ms) == 10
    assert stream.fps == pytest.approx(1e3 / stream.intervals.mean_ms)
    assert stream.factor == pytest.approx(stream.fps / 25)
    assert ticks[-1] == 10 and max(ticks) == 10


def test_stream_loop_without_warm_up() -> None:
    assert len(time_stream(FakeSession(), FRAMES, Loop(10, 0, print)).intervals.samples_ms) == 10


def alternate(**options: Any) -> tuple[str, list[list[float]], list[int]]:
    """Calls "a" and "b" in the order made, each with its frame, then the samples and ticks; "p" is ``prepare``."""
    made: list[str] = []
    ticks: list[int] = []

    def call(name: str) -> Callable[[np.ndarray], None]:
        return lambda frame: made.append(f"{name}{frame[0, 0, 0]}{'' if gc.isenabled() else '!'}")

    if options.pop("prepared", False):
        options["prepare"] = call("p")
    samples = time_alternately((call("a"), call("b")), FRAMES, Loop(4, 1, ticks.append), **options)
    return " ".join(made), samples, ticks


def test_blocks_alternate_and_begin_with_an_untimed_frame() -> None:
    made, samples, ticks = alternate(block=3)
    assert made == "a0 b0 a2! a0! a1! a2! b2! b0! b1! b2! b2! b0! a2! a0!", "collection is off in the timed loop"
    assert [len(each) for each in samples] == [4, 4]
    assert ticks == [3, 4]


def test_blocks_in_a_fixed_order() -> None:
    made, _, _ = alternate(block=3, swap=False)
    assert made == "a0 b0 a2! a0! a1! a2! b2! b0! b1! b2! a2! a0! b2! b0!"


def test_single_frames_in_turn() -> None:
    made, samples, ticks = alternate(block=1, prepared=True)
    assert made == "p0 a0 b0 p0! a0! b0! p1! b1! a1! p2! a2! b2! p0! b0! a0!"
    assert [len(each) for each in samples] == [4, 4]
    assert ticks == [1, 2, 3, 4]


def test_each_turn_settles_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(measure_module.time, "sleep", pauses.append)
    alternate(block=3, settle_s=0.02)
    assert pauses == [0.02] * 4
    alternate(block=3)
    assert pauses == [0.02] * 4


def test_collection_is_as_before_afterwards() -> None:
    assert gc.isenabled()
    with no_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), no_collection():
        {}["a loop that fails"]
    assert gc.isenabled()
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_timings_match_numpy() -> None:
    samples = np.random.default_rng(0).gamma(2.0, 3.0, 137).tolist()
    timings = Timings.of(samples)
    assert timings.p50_ms == np.quantile(samples, 0.5)
    assert timings.p90_ms == np.quantile(samples, 0.9)
    assert timings.p99_ms == np.quantile(samples, 0.99)
    assert timings.max_ms == max(samples)
    assert timings.mean_ms == pytest.approx(sum(samples) / 137)
    assert timings.samples_ms == tuple(samples)


def test_timings_by_hand() -> None:
    timings = Timings.of([5.0, 1.0, 2.0, 3.0, 4.0])
    assert (timings.p50_ms, timings.p90_ms, timings.p99_ms, timings.max_ms, timings.mean_ms) == pytest.approx(
        (3.0, 4.6, 4.96, 5.0, 3.0)
    )


@pytest.mark.parametrize(("count", "p999_ms"), [(999, None), (1000, 998.001)])
def test_a_p999_needs_a_thousand_samples(count: int, p999_ms: float | None) -> None:
    assert Timings.of([float(i) for i in range(count)]).p999_ms == pytest.approx(p999_ms)


def test_split_between_two_snapshots() -> None:
    before = EngineStats(4, 0, 0, 1.0, 10.0, 2.0, 0.5)
    after = EngineStats(6, 0, 0, 2.0, 9.0, 2.0, 1.0)
    split = split_between(before, after)
    assert (split.copy_in_ms, split.compute_ms, split.copy_out_ms, split.host_ms) == pytest.approx((4, 7, 2, 2))


def test_pairs_are_compared_pair_by_pair() -> None:
    raw = [1.0, 10.0, 100.0, 1.0, 10.0]
    engine = [1.5, 10.5, 100.5, 1.5, 10.5]
    splits = [Split(0.1, compute, 0.2, 0.0) for compute in raw]
    overhead = summarise_pairs(engine, raw, splits)
    assert overhead.difference_ms == pytest.approx(0.5)
    assert overhead.ratio == pytest.approx(1.05), "the median of the ratios, not the ratio of the medians"
    assert overhead.beyond_copies_ms == pytest.approx(0.2)
    assert overhead.own_ms == pytest.approx(0.2)
    assert overhead.copies_ms == pytest.approx([0.3] * 5)
    assert (overhead.copy_in_ms, overhead.copy_out_ms) == (0.1, 0.2)


@pytest.mark.parametrize(("extra_ms", "within"), [(0.49, True), (0.51, False)])
def test_the_overhead_target(extra_ms: float, within: bool) -> None:
    overhead = summarise_pairs([8.0 + extra_ms] * 10, [8.0] * 10, [Split(0.1, 8.0, 0.2, 0.0)] * 10)
    assert overhead.within_target is within


def test_median_interval_holds_the_median_95_times_of_100() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        low, high = median_interval(rng.normal(3.0, 1.0, 101).tolist())
        hits += low <= 3.0 <= high
    assert 920 <= hits <= 980
