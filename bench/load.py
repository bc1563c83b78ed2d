"""The load by other processes, which makes timings on the same cores worthless."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

#: Load by others, in cores, beyond which figures count as disturbed.
_TOLERATED_CORES = 0.15


class LoadMeter:
    """Measures the load by other processes, and by other guests of the same host, in cores."""

    def __init__(self) -> None:
        self._last = _read()

    def lap(self) -> float | None:
        """Load since the last call, or since construction; None without ``/proc/stat``."""
        before, self._last = self._last, _read()
        if before is None or self._last is None:
            return None
        wall_s, busy_s, own_s = (now - then for now, then in zip(self._last, before, strict=True))
        return max(0.0, (busy_s - own_s) / wall_s) if wall_s > 0 else 0.0


def disturbed_parts(others: Mapping[str, float | None], *, threads: int, cores: int) -> list[str]:
    """Parts of a benchmark in which others used cores that its ``threads`` needed."""
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
    fields = stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields)
    busy_s = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    times = os.times()
    return perf_counter(), busy_s, times.user + times.system
