"""The timing loops. Frames are in memory beforehand, and garbage collection is off while a loop runs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

from mostnet.contract import Frame
from mostnet.engine import EngineStats, Session

from .frames import BenchFrames
from .report import Split, Throughput
from .timings import Timings, no_collection


@dataclass(frozen=True)
class Loop:
    """The length of a timing loop.

    Attributes:
        count: timed frames.
        warmup: untimed frames before them.
        tick: called between frames, outside the timings, with the number of timed frames done.
    """

    count: int
    warmup: int
    tick: Callable[[int], None]


def time_ms(call: Callable[[Frame], object], frame: Frame) -> float:
    """Time of one call in milliseconds. Freeing its result does not count: the caller of an engine does that."""
    begun_ns = perf_counter_ns()
    result = call(frame)
    elapsed_ms = (perf_counter_ns() - begun_ns) / 1e6
    del result
    return elapsed_ms


def time_infer(session: Session, frames: BenchFrames, loop: Loop) -> tuple[Timings, Split]:
    """Latency of ``infer`` frame by frame, and its stages by the session's own clock."""
    for i in range(loop.warmup):
        session.infer(frames[i])
    samples = []
    with no_collection():
        before = session.stats
        for i in range(loop.count):
            samples.append(time_ms(session.infer, frames[i]))
            loop.tick(i + 1)
        split = split_between(before, session.stats)
    return Timings.of(samples), split


def time_stream(session: Session, frames: BenchFrames, loop: Loop) -> Throughput:
    """Throughput of ``stream`` with a source that is never late and a consumer that does nothing."""
    source = (frames[i] for i in range(loop.warmup + loop.count))
    latencies = []
    with no_collection():
        marks_ns = [perf_counter_ns()]
        for output in session.stream(source):
            marks_ns.append(perf_counter_ns())
            latencies.append(output.latency_ms)
            loop.tick(max(0, len(latencies) - loop.warmup))
    timed_ns = marks_ns[loop.warmup :]
    intervals = [(b - a) / 1e6 for a, b in itertools.pairwise(timed_ns)]
    return Throughput(
        fps=loop.count / (timed_ns[-1] - timed_ns[0]) * 1e9,
        intervals=Timings.of(intervals),
        latency=Timings.of(latencies[loop.warmup :]),
    )


def time_alternately(
    calls: Sequence[Callable[[Frame], object]],
    frames: BenchFrames,
    loop: Loop,
    *,
    block: int = 5,
    swap: bool = True,
    settle_s: float = 0.0,
    prepare: Callable[[Frame], None] | None = None,
    time_call: Callable[[Callable[[Frame], object], Frame], float] = time_ms,
) -> list[list[float]]:
    """Latencies in milliseconds of each call on the same frames, in alternating blocks.

    Short blocks expose all calls to the same state of the machine.

    Args:
        block: frames of one call in a row. A block of several frames starts with an extra, untimed frame.
        swap: reverse the order of the calls in every second block, so that none always finds another's data in the
            caches.
        settle_s: pause before each call's turn.
        prepare: called with the first frame of each block, untimed.
        time_call: runs a call on a frame and returns its milliseconds.
    """
    for i in range(loop.warmup):
        if prepare is not None:
            prepare(frames[i])
        for call in calls:
            call(frames[i])
    samples: list[list[float]] = [[] for _ in calls]
    turns = list(zip(calls, samples, strict=True))
    with no_collection():
        for start in range(0, loop.count, block):
            indices = range(start, min(start + block, loop.count))
            if prepare is not None:
                prepare(frames[start])
            for call, latencies in reversed(turns) if swap and start // block % 2 else turns:
                if settle_s:
                    time.sleep(settle_s)
                if block > 1:
                    call(frames[start - 1])
                latencies.extend(time_call(call, frames[i]) for i in indices)
            loop.tick(indices[-1] + 1)
    return samples


def split_between(before: EngineStats, after: EngineStats) -> Split:
    """Mean split of the frames between two snapshots of one session's figures."""
    frames = after.frames - before.frames

    def mean_ms(name: str) -> float:
        total_ms: float = getattr(after, name) * after.frames - getattr(before, name) * before.frames
        return total_ms / frames

    return Split(
        copy_in_ms=mean_ms("copy_in_ms"),
        compute_ms=mean_ms("compute_ms"),
        copy_out_ms=mean_ms("copy_out_ms"),
        host_ms=mean_ms("host_ms"),
    )
