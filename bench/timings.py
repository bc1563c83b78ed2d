"""Latencies, their percentiles, and the garbage collection that must not be among them.

Needs numpy only: a GPU machine may have nothing else.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

#: Fewer samples have no 99.9th percentile: it would be their maximum.
P999_FRAMES = 1000


@dataclass(frozen=True)
class Timings:
    """Percentiles (linear interpolation), maximum and mean of ``samples_ms``, which follow the order of the frames.

    ``p999_ms`` is None for fewer than ``P999_FRAMES`` samples.
    """

    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float | None
    max_ms: float
    mean_ms: float
    samples_ms: tuple[float, ...]

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Timings:
        """Summarise at least one sample."""
        p50, p90, p99, p999 = (float(p) for p in np.percentile(samples_ms, (50, 90, 99, 99.9)))
        return cls(
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
            p999_ms=p999 if len(samples_ms) >= P999_FRAMES else None,
            max_ms=max(samples_ms),
            mean_ms=float(np.mean(samples_ms)),
            samples_ms=tuple(samples_ms),
        )


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect garbage on entry and never within the block: a collection would count as latency of the engine."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
