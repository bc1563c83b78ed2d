"""The timing loops. Frames are in memory beforehand, and garbage collection is off while a loop runs."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns

from mostnet.engine import EngineStats, Session

from .frames import Clip
from .report import Split, Stream, Timings

#: Called between frames, outside the timings, with the number of frames done.
Tick = Callable[[int], None]


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect garbage now and not within the block: a pause of this process is not one of the engine's."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def time_infer(session: Session, clip: Clip, *, frames: int, warmup: int, tick: Tick) -> tuple[Timings, Split]:
    """Latency of ``infer`` frame by frame, and where it went by the session's own account."""
    for i in range(warmup):
        session.infer(clip[i])
    samples = []
    with no_collection():
        before = session.stats
        for i in range(frames):
            frame = clip[i]
            begun_ns = perf_counter_ns()
            output = session.infer(frame)
            samples.append((perf_counter_ns() - begun_ns) / 1e6)
            del output  # freed here, not while the next frame is timed
            tick(i + 1)
        split = split_between(before, session.stats)
    return Timings.of(samples), split


def time_stream(session: Session, clip: Clip, *, frames: int, warmup: int, tick: Tick) -> Stream:
    """Throughput of ``stream`` with a source that is never late and a consumer that does nothing."""
    source = (clip[i] for i in range(warmup + frames))
    latencies = []
    with no_collection():
        marks_ns = [perf_counter_ns()]
        for output in session.stream(source):
            marks_ns.append(perf_counter_ns())
            latencies.append(output.latency_ms)
            tick(max(0, len(latencies) - warmup))
    timed_ns = marks_ns[warmup:]
    intervals = [(b - a) / 1e6 for a, b in itertools.pairwise(timed_ns)]
    return Stream(
        fps=frames / (timed_ns[-1] - timed_ns[0]) * 1e9,
        intervals=Timings.of(intervals),
        latency=Timings.of(latencies[warmup:]),
    )


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
