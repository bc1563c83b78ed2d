"""CPU cores that other processes leave free, from the counters of Linux."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

#: A core that other processes use for at most this share counts as free.
_NOISE = 0.4


class _Counters(NamedTuple):
    """Readings in seconds: of the clock, of this process's CPU time, and the sums over all cores."""

    clock: float
    own: float
    idle: float
    counted: float


class FreeCores:
    """Counts, from each call to the next, the cores that other processes leave free.

    Processes that this one starts count as others.

    Args:
        root: folder that holds ``proc``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._file = root / "proc/stat"
        self._last = self._read()

    def count(self, *, least_s: float) -> int | None:
        """Cores that were idle or used by this process since the last count, at least one.

        None without an answer: less than ``least_s`` seconds have passed, or the system has no counters. The counters
        have steps of 10 ms.
        """
        if time.monotonic() - self._last.clock < least_s:
            return None
        before, self._last = self._last, self._read()
        spent = _Counters(*(after - earlier for after, earlier in zip(self._last, before, strict=True)))
        if spent.counted < spent.clock / 2:  # another system, or a container without counters
            return None
        return max(1, int((spent.idle + spent.own) / spent.clock + _NOISE))

    def _read(self) -> _Counters:
        idle = counted = 0.0
        for ticks in _ticks_of_cores(self._file):
            idle += sum(ticks[3:5])  # idle, and waiting for a disk
            counted += sum(ticks[:8])  # guests are part of the first two
        a_second = os.sysconf("SC_CLK_TCK") if counted else 1
        return _Counters(time.monotonic(), time.process_time(), idle / a_second, counted / a_second)


def _ticks_of_cores(file: Path) -> list[list[int]]:
    """The counters of each core that this process may use; none on other systems than Linux."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    names = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    try:
        lines = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
        return [[int(word) for word in words[1:]] for words in lines if words and words[0] in names]
    except (OSError, ValueError):
        return []
