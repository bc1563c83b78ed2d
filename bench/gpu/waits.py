"""Measure what a wait for the GPU costs the thread that reads frames: ``python -m mostnet.bench.gpu.waits``.

It needs no GPU: its events are imitations, each reached at a set time. It times the waits of the engine, and for
comparison a loop that only polls. Meanwhile a thread reads frame after frame: it copies the frame, runs some Python,
and makes calls in C that give up the interpreter, as the driver and TensorRT do.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from select import select
from time import perf_counter, sleep
from types import SimpleNamespace
from typing import Any

import numpy as np

from mostnet.bench.machine import describe_machine
from mostnet.contract.terminal import CommandParser, command
from mostnet.engine.cuda.clock import ClockAnchor
from mostnet.engine.cuda.streams import CudaEvent

_SIZE_HW = (480, 640)
_LIMIT_MS = 1000.0

#: Calls in C for each frame. Each copies some rows.
_CALLS = 6
_CALL_ROWS = 20

#: A query keeps the interpreter for this long.
_QUERY_S = 1.5e-6

#: The polling loop asks without a pause for 2 ms, then with naps.
_SPIN_S = 2e-3
_NAP_S = 5e-5


class ImitatedEvent:
    """An event of pycuda that is reached a chosen time after its record."""

    def __init__(self) -> None:
        self.reached_s = 0.0
        self._usleep = None if sys.platform == "win32" else ctypes.CDLL(None).usleep

    def record(self, work_s: float) -> None:
        """Reach the event in ``work_s``."""
        self.reached_s = perf_counter() + work_s

    def query(self) -> bool:
        """Keep the interpreter for a while, as the driver does; true if the event is reached."""
        begun_s = perf_counter()
        while perf_counter() - begun_s < _QUERY_S:
            pass
        return begun_s >= self.reached_s

    def synchronize(self) -> None:
        """Block in C, without the interpreter."""
        left_s = self.reached_s - perf_counter()
        if left_s <= 0:
            return
        if self._usleep is None:
            sleep(left_s)
        else:
            self._usleep(int(left_s * 1e6))

    def time_till(self, later: ImitatedEvent) -> float:
        """Milliseconds from this event to ``later``."""
        return (later.reached_s - self.reached_s) * 1e3


def poll_only(event: CudaEvent) -> None:
    """Wait in a loop that only polls."""
    begun_s = perf_counter()
    while not event.raw.query():
        if perf_counter() - begun_s < _SPIN_S:
            select((), (), (), 0)
        else:
            sleep(_NAP_S)


#: The kinds of wait, by name.
WAITS: dict[str, Callable[[CudaEvent], object]] = {
    "polling": poll_only,
    "in C": lambda event: event.wait(None),
    "with a limit": lambda event: event.wait(_LIMIT_MS),
}


#: Statistics of the reads, and of how late the end of a frame is found.
COLUMNS = ("read mean", "read p50", "read p99", "late mean", "late p50", "late p99")


def read_during(wait: Callable[[CudaEvent], object], frames: int, work_ms: float) -> tuple[list[float], list[float]]:
    """Wait for ``frames`` frames of ``work_ms`` each, while a thread reads as fast as it can.

    Returns:
        How long each read took and how late the end of each frame was found, both in milliseconds.
    """
    event, stop = _new_event(), threading.Event()
    reads_ms: list[float] = []
    late_ms: list[float] = []
    reader = threading.Thread(target=_read, args=(reads_ms, stop), daemon=True)
    reader.start()
    for _ in range(frames):
        event.record_on(work_ms / 1e3)
        wait(event)
        late_ms.append((perf_counter() - event.raw.reached_s) * 1e3)
    stop.set()
    reader.join()
    return reads_ms, late_ms


def measure_waits(frames: int, work_ms: float, rounds: int) -> dict[str, dict[str, float]]:
    """Figures of each kind of wait: medians over ``rounds``, in which the kinds take turns.

    Returns:
        The columns of ``COLUMNS`` in microseconds, by the name of the wait.
    """
    found: dict[str, list[list[float]]] = {name: [] for name in WAITS}
    for _ in range(rounds):
        for name, wait in WAITS.items():
            parts = read_during(wait, frames, work_ms)
            found[name].append([value * 1e3 for part in parts for value in _summary(part)])
    return {name: dict(zip(COLUMNS, np.median(rows, axis=0).tolist(), strict=True)) for name, rows in found.items()}


@command("mostnet.bench.gpu.waits")
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table; returns the exit status."""
    parser = CommandParser(prog="python -m mostnet.bench.gpu.waits", description=__doc__)
    parser.add_argument("--frames", type=int, default=500, help="frames per round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds, of all kinds in turn (default: %(default)s)")
    parser.add_argument("--work-ms", type=float, default=2.0, help="GPU time of a frame (default: %(default)s)")
    options = parser.parse_args(argv)
    rows = measure_waits(options.frames, options.work_ms, options.rounds)
    print(f"{options.work_ms:g} ms of work, {options.rounds} rounds of {options.frames} frames; microseconds")
    print(f"{'wait':<14}" + "".join(f"{column:>10}" for column in COLUMNS))
    for name, row in rows.items():
        print(f"{name:<14}" + "".join(f"{value:10.0f}" for value in row.values()))
    print(", ".join(f"{name} {value}" for name, value in asdict(describe_machine(gpu=False)).items()))
    return 0


def _summary(samples: Sequence[float]) -> list[float]:
    return [float(np.mean(samples)), *np.percentile(samples, (50, 99)).tolist()]


def _new_event() -> CudaEvent:
    device: Any = SimpleNamespace(driver=SimpleNamespace(Event=ImitatedEvent, Error=OSError))
    start = ImitatedEvent()
    clock: Any = SimpleNamespace(anchor=lambda: ClockAnchor(start, 0.0, 0.0))
    return CudaEvent(device, clock)


def _read(reads_ms: list[float], stop: threading.Event) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*_SIZE_HW, 3), np.uint8)
    target = np.empty_like(frame)
    while not reads_ms or not stop.is_set():
        begun_s = perf_counter()
        np.copyto(target, frame)
        for _ in range(_CALLS):
            np.copyto(target[:_CALL_ROWS], frame[:_CALL_ROWS])  # a few microseconds without the interpreter
            _run_python()
        reads_ms.append((perf_counter() - begun_s) * 1e3)


def _run_python() -> None:
    known: dict[str, int] = {}
    for number in range(10):
        known[str(number)] = number


if __name__ == "__main__":
    sys.exit(main())
