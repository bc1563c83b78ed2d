"""Was the machine ours? Other processes on the same cores make any timing worthless."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

#: Cores' worth of other work from which figures are called disturbed.
_TOLERATED_CORES = 0.15


class LoadMeter:
    """How many cores' worth of work other processes (and other guests of the same host) did since the last ``lap``."""

    def __init__(self) -> None:
        self._last = _read()

    def lap(self) -> float | None:
        """Cores taken by others since the last call, or since this was made; None where the system does not say."""
        before, self._last = self._last, _read()
        if before is None or self._last is None:
            return None
        wall_s, busy_s, own_s = (now - then for now, then in zip(self._last, before, strict=True))
        return max(0.0, (busy_s - own_s) / wall_s) if wall_s > 0 else 0.0


def disturbed_parts(others: Mapping[str, float | None], *, threads: int, cores: int) -> list[str]:
    """Parts of a benchmark during which others took cores that its ``threads`` would have used."""
    return [
        part
        for part, taken in others.items()
        if taken is not None and taken > _TOLERATED_CORES and taken + threads > cores
    ]


def _read() -> tuple[float, float, float] | None:
    """Wall time, busy time of all cores, and CPU time of this process, in seconds."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return None
    fields = stat.read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields)
    busy_s = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    times = os.times()
    return perf_counter(), busy_s, times.user + times.system
