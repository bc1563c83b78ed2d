"""Cores that other processes leave free, from files that look like those of Linux, and a clock that does not run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mostnet.contract import free_cores
from mostnet.contract.free_cores import FreeCores


class Machine:
    """Four cores, of which this process may use the last three, and their counters in steps of 10 ms."""

    def __init__(self, root: Path) -> None:
        self.file = root / "proc/stat"
        self.file.parent.mkdir()
        self.clock = self.own = 0.0
        self.ticks = [[0] * 10 for _ in range(4)]
        self.write()

    def write(self) -> None:
        cores = "".join(f"cpu{core} {' '.join(map(str, ticks))}\n" for core, ticks in enumerate(self.ticks))
        self.file.write_text(f"cpu  9 9 9 9 9 9 9 9 9 9\n{cores}intr 4711\n", encoding="ascii")

    def spend(self, seconds: float, *, busy: tuple[float, float, float], own: float = 0.0) -> None:
        """Let time pass, in which each core is busy for a share of it, and this process uses ``own`` cores."""
        self.clock += seconds
        self.own += own * seconds
        for ticks, share in zip(self.ticks[1:], busy, strict=True):
            ticks[0] += round(100 * seconds * share)
            ticks[3] += round(100 * seconds * (1 - share))
        self.write()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 2, 3}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    monkeypatch.setattr(free_cores.time, "monotonic", lambda: found.clock)
    monkeypatch.setattr(free_cores.time, "process_time", lambda: found.own)
    return found


@pytest.mark.parametrize(
    ("busy", "own", "free"),
    [
        ((0.0, 0.0, 0.0), 0.0, 3),
        ((0.1, 0.1, 0.1), 0.0, 3),
        ((1.0, 1.0, 1.0), 3.0, 3),
        ((1.0, 0.0, 0.0), 0.0, 2),
        ((1.0, 1.0, 1.0), 2.5, 2),  # a process beside this one has half of one core
        ((1.0, 1.0, 1.0), 1.0, 1),
        ((1.0, 1.0, 1.0), 0.1, 1),
    ],
)
def test_cores_that_are_idle_or_used_by_this_process_are_free(
    machine: Machine, tmp_path: Path, busy: tuple[float, float, float], own: float, free: int
) -> None:
    cores = FreeCores(tmp_path)
    machine.spend(2.0, busy=busy, own=own)
    assert cores.count(least_s=0.5) == free


def test_each_count_begins_where_the_last_one_ended(machine: Machine, tmp_path: Path) -> None:
    cores = FreeCores(tmp_path)
    machine.spend(1.0, busy=(1.0, 1.0, 0.0))
    assert cores.count(least_s=0.5) == 1
    assert cores.count(least_s=0.5) is None, "no time has passed"
    machine.spend(0.2, busy=(1.0, 1.0, 1.0))
    assert cores.count(least_s=0.5) is None, "too short a time"
    machine.spend(1.8, busy=(0.0, 0.0, 0.0))
    assert cores.count(least_s=0.5) == 3


def test_without_counters_there_is_no_answer(machine: Machine, tmp_path: Path) -> None:
    cores = FreeCores(tmp_path)
    machine.clock += 5.0  # the counters stand still, as in some containers
    assert cores.count(least_s=0.5) is None
    for content in ("cpu1 some words\n", ""):
        machine.file.write_text(content, encoding="ascii")
        machine.clock += 5.0
        assert cores.count(least_s=0.5) is None
    machine.file.unlink()
    machine.clock += 5.0
    assert FreeCores(tmp_path).count(least_s=0.5) is None
