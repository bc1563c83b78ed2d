"""Service times: how long a place of a server takes for one frame, alone and beside busy neighbours."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mostnet.bench.machine import resident_mib
from mostnet.bench.measure import time_ms
from mostnet.bench.timings import no_collection
from mostnet.contract import Frame, OutputName
from mostnet.engine import Engine, Session

#: An odd number, so that one round is the middle one.
ROUNDS = 3
_WARM_UPS = 3


def service_samples_ms(
    path: Path,
    frames: Sequence[Frame],
    *,
    places: int,
    threads: int,
    count: int,
    fps: float,
    outputs: Sequence[OutputName],
) -> tuple[tuple[float, ...], ...]:
    """Times of ``infer`` on the CPU with ``threads`` threads per frame.

    Entry ``k`` is measured with ``k + 1`` sessions at work. A session alone takes its frames at ``fps``: between them
    the core sleeps and its caches cool, as in a server with little to do. Several sessions run back to back. ``ROUNDS``
    rounds take the numbers of sessions in turn, and the round with the middle median counts.

    Args:
        frames: uint8 ``(H, W, 3)`` BGR, in a loop.
        count: frames of the first session in each round.

    Raises:
        MostnetError: as ``Engine``.
    """
    with Engine(path, threads=threads, provider="cpu", outputs=outputs) as engine, no_collection():
        sessions: list[Session] = [engine, *(engine.session() for _ in range(places - 1))]
        for session in sessions:
            for _ in range(_WARM_UPS):
                session.infer(frames[0])
        rounds = [
            [paced_ms(engine.infer, frames, count=count, fps=fps)]
            + [_busy_ms(sessions[: busy + 1], frames, count) for busy in range(1, places)]
            for _ in range(ROUNDS)
        ]
    return tuple(tuple(sorted(tries, key=np.median)[ROUNDS // 2]) for tries in zip(*rounds, strict=True))


def paced_ms(infer: Callable[[Frame], object], frames: Sequence[Frame], *, count: int, fps: float) -> list[float]:
    """Times of ``count`` calls, one each period, or one after the other if they take longer."""
    samples_ms = []
    for k in range(count):
        samples_ms.append(time_ms(infer, frames[k % len(frames)]))
        time.sleep(max(0.0, 1 / fps - samples_ms[-1] / 1e3))
    return samples_ms


def _busy_ms(sessions: Sequence[Session], frames: Sequence[Frame], count: int) -> list[float]:
    """Samples of all sessions, back to back, until the first one has had ``count`` frames."""
    over = threading.Event()
    ready = threading.Barrier(len(sessions))

    def work(place: int) -> list[float]:
        samples_ms: list[float] = []
        try:
            ready.wait()
            while len(samples_ms) < count if place == 0 else not over.is_set():
                samples_ms.append(time_ms(sessions[place].infer, frames[len(samples_ms) % len(frames)]))
        finally:
            over.set()
        return samples_ms

    with ThreadPoolExecutor(len(sessions)) as pool:
        return [sample for samples in pool.map(work, range(len(sessions))) for sample in samples]


def session_mib(
    path: Path, frames: Sequence[Frame], *, outputs: Sequence[OutputName], sessions: int = 8
) -> float | None:
    """Resident memory that one more session of an engine takes, in MiB; None if the system does not report memory.

    Raises:
        MostnetError: as ``Engine``.
    """
    with Engine(path, threads=1, provider="cpu", outputs=outputs) as engine:
        engine.infer(frames[0])
        before_mib = resident_mib()
        more = [engine.session() for _ in range(sessions)]
        for session in more:
            session.infer(frames[0])
        after_mib = resident_mib()
    return None if before_mib is None or after_mib is None else max(0.0, after_mib - before_mib) / sessions


def state_bytes(path: Path) -> int:
    """Bytes of the state of one camera.

    Raises:
        MostnetError: as ``Engine``.
    """
    with Engine(path, threads=1, provider="cpu") as engine:
        pairs = engine.metadata.states
    return sum(math.prod(pair.shape) * np.dtype(pair.dtype).itemsize for pair in pairs)
