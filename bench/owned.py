"""Cost of owned results: ``python -m mostnet.bench.owned``.

The engine copies each result into memory that nothing refers to any more. For comparison, a copy into fresh memory. The
two take turns, for consumers that keep results for different times.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from time import perf_counter

import numpy as np

from mostnet.contract import FINITE, output_specs
from mostnet.contract.terminal import CommandParser, command
from mostnet.engine.results import ResultPools

from .machine import describe_machine
from .timings import no_collection

_SIZE_HW = (480, 640)

#: Makes the results of one frame.
Take = Callable[[], object]

#: How many of its latest results a consumer keeps, by name.
KEPT = {"dropped at once": 0, "last 10 kept": 10, "last 100 kept": 100}

#: How many results a consumer collects before it drops them all, by name.
BATCHES = {"batches of 25": 25, "batches of 100": 100}


def measure_owned(frames: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Microseconds per frame, by the name of the consumer: in fresh memory, and in memory used again.

    Each is the median of ``rounds`` rounds of at least ``frames`` frames.
    """
    specs = [spec for spec in output_specs(_SIZE_HW) if spec.name != FINITE]
    rng = np.random.default_rng(0)
    found = {spec.name: rng.integers(0, 255, spec.shape[1:]).astype(spec.dtype) for spec in specs}
    samples: dict[str, list[list[float]]] = {name: [] for name in (*KEPT, *BATCHES)}
    for _ in range(rounds):
        for name, rows in samples.items():
            pools = ResultPools(specs)
            takes: tuple[Take, Take] = (lambda: {key: one.copy() for key, one in found.items()}, _from(pools, found))
            rows.append([_consume(name, take, frames) for take in takes])
            pools.close()
    return {name: (float(fresh), float(again)) for name, (fresh, again) in _medians(samples).items()}


@command("mostnet.bench.owned")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table; returns the exit status."""
    parser = CommandParser(prog="python -m mostnet.bench.owned", description=__doc__)
    parser.add_argument("--frames", type=int, default=200, help="frames per round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each consumer (default: %(default)s)")
    options = parser.parse_args(argv)
    rows = measure_owned(options.frames, options.rounds)
    print(f"results of {_SIZE_HW[0]}x{_SIZE_HW[1]}, {options.rounds} rounds of {options.frames} frames; microseconds")
    print(f"{'consumer':<18}{'fresh':>10}{'again':>10}{'ratio':>8}")
    for name, (fresh, again) in rows.items():
        print(f"{name:<18}{fresh:10.0f}{again:10.0f}{fresh / again:8.2f}")
    print(", ".join(f"{name} {value}" for name, value in asdict(describe_machine(gpu=False)).items()))
    return 0


def _from(pools: ResultPools, found: dict[str, np.ndarray]) -> Take:
    return lambda: pools.copy(found)


def _consume(name: str, take: Take, frames: int) -> float:
    """Microseconds per frame of one consumer, after a warm-up as long as what it keeps."""
    size = BATCHES.get(name, 0)
    kept: deque[object] = deque(maxlen=None if size else KEPT[name])
    with no_collection():
        for timed in (False, True):
            count = max(frames if timed else 0, KEPT.get(name, 0) + 20, size)
            begun_s = perf_counter()
            for _ in range(count):
                kept.append(take())
                if size and len(kept) == size:
                    kept.clear()
            took_s = perf_counter() - begun_s
    return took_s / count * 1e6


def _medians(samples: dict[str, list[list[float]]]) -> dict[str, list[float]]:
    return {name: np.median(rows, axis=0).tolist() for name, rows in samples.items()}


if __name__ == "__main__":
    sys.exit(main())
