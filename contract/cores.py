"""CPU cores that this process may use; in many containers fewer than the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
#: Folders where Linux mounts the CPU controller of cgroup v2, and of v1.
_MOUNTS_V2 = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
_MOUNTS_V1 = ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")


#: Turns of the waiting loop of GCC's OpenMP before a thread sleeps, on some CPUs a millisecond; by default 300,000.
_SPINS = "30000"


def limit_spinning() -> None:
    """Have threads of GCC's OpenMP, which PyTorch uses on Linux, sleep sooner when they wait for each other.

    A thread that spins uses up its share of a core which another process needs too, and all others then wait for it.
    Call this before PyTorch is imported. A choice in the environment stays as it is.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = _SPINS


def asked_threads() -> int | None:
    """``OMP_NUM_THREADS``, if it is a number above 0."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def default_threads() -> int:
    """Threads for a library that computes on the CPU: ``OMP_NUM_THREADS`` if it is a number, else ``usable_cores``."""
    return asked_threads() or usable_cores()


def usable_cores(root: Path = _ROOT) -> int:
    """Cores that the affinity of this process and the CPU limits of its cgroups allow, at least one.

    A limit of one and a half cores counts as two.

    Args:
        root: folder that holds ``proc`` and ``sys``.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([cores, *(-(-limit.numerator // limit.denominator) for limit in _limits(root))]))


def _limits(root: Path) -> Iterator[Fraction]:
    """Limits in cores, of the process's cgroups and of all that hold them."""
    for controllers, path in _memberships(root):
        mounts, read = (_MOUNTS_V1, _limit_v1) if controllers else (_MOUNTS_V2, _limit_v2)
        for mount in mounts:
            for group in (path, *path.parents):
                limit = read(root / mount / group.relative_to("/"))
                if limit is not None:
                    yield limit


def _memberships(root: Path) -> Iterator[tuple[str, PurePosixPath]]:
    """Controllers and path of each cgroup that can limit the CPU; v2 names no controllers.

    In a container, the path may be that of the host. Then only its last parent, ``/``, exists.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # another system than Linux, or one without cgroups
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if (not controllers or "cpu" in controllers.split(",")) and path.startswith("/"):
            outside = ".." in path.split("/")  # the process was moved out of the cgroups that it sees
            yield controllers, PurePosixPath("/" if outside else path)


def _limit_v2(folder: Path) -> Fraction | None:
    return _limit(_words(folder / "cpu.max"))


def _limit_v1(folder: Path) -> Fraction | None:
    return _limit(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))


def _limit(words: list[str]) -> Fraction | None:
    """Quota and period in microseconds as cores; None for no limit: ``max`` in v2, -1 in v1, or no such file."""
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        return None
    quota, period = map(int, words)
    return Fraction(quota, period) if quota and period else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
