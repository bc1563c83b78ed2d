"""The CPU limits of cgroups, read from trees of files that look like those of Linux."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mostnet.contract import cores
from mostnet.contract.cores import default_threads, limit_spinning, usable_cores


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


def tree(root: Path, membership: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


V1 = "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/", {"sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
        ("0::/", {"sys/fs/cgroup/cpu.max": "max 100000"}, 16),
        ("0::/", {"sys/fs/cgroup/cpu.max": "150000 100000"}, 2),
        ("0::/", {"sys/fs/cgroup/cpu.max": "5000 100000"}, 1),
        ("0::/", {"sys/fs/cgroup/cpu.max": "9900000 100000"}, 16),
        ("0::/", {"sys/fs/cgroup/cpu.max": "nonsense"}, 16),
        ("0::/", {"sys/fs/cgroup/cpu.max": "100000 0"}, 16),
        ("0::/a/b", {"sys/fs/cgroup/a/b/cpu.max": "300000 100000"}, 3),
        ("0::/a/b", {"sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/a/cpu.max": "400000 100000"}, 4),
        ("0::/a/b", {"sys/fs/cgroup/a/b/cpu.max": "500000 100000", "sys/fs/cgroup/a/cpu.max": "400000 100000"}, 4),
        ("0::/../other", {"sys/fs/cgroup/cpu.max": "600000 100000"}, 6),
        ("1:cpu:/\n0::/u", {"sys/fs/cgroup/unified/u/cpu.max": "700000 100000"}, 7),
        ("4:cpu,cpuacct:/", {f"{V1}/cpu.cfs_quota_us": "250000", f"{V1}/cpu.cfs_period_us": "100000"}, 3),
        ("4:cpu,cpuacct:/", {f"{V1}/cpu.cfs_quota_us": "-1", f"{V1}/cpu.cfs_period_us": "100000"}, 16),
        ("4:cpuset:/x", {"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "100000"}, 16),
        (
            "4:cpu:/docker/4711",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "20000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "10000"},
            2,
        ),
        (
            "4:cpu:/pod/one",
            {"sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us": "350000", "sys/fs/cgroup/cpu/pod/cpu.cfs_period_us": "100000"},
            4,
        ),
    ],
)
def test_the_smallest_limit_counts(tmp_path: Path, membership: str, files: dict[str, str], expected: int) -> None:
    assert usable_cores(tree(tmp_path, membership, files)) == expected


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 16


@pytest.mark.parametrize(
    ("value", "expected"), [("3", 3), ("5,2", 5), (" 7 ", 7), ("", 2), ("0", 2), ("-1", 2), ("two", 2)]
)
def test_omp_num_threads_goes_first(monkeypatch: pytest.MonkeyPatch, value: str, expected: int) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert default_threads() == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"GOMP_SPINCOUNT": "30000"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
    ],
)
def test_threads_spin_for_less_long_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, before: dict[str, str], after: dict[str, str]
) -> None:
    monkeypatch.setattr(os, "environ", dict(before))
    limit_spinning()
    assert os.environ == after
