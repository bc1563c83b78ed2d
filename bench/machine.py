"""The machine that figures are measured on, and the memory of this process."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mostnet.contract.cores import usable_cores
from mostnet.contract.nvidia_smi import query_gpus

_MIB = 1 << 20


@dataclass(frozen=True)
class Machine:
    """The machine, without its host name.

    Attributes:
        cpu: model of the processor.
        cores: cores of the machine.
        usable_cores: cores that this process may use.
        memory_gib: main memory; None if the system does not report it.
        gpu: name of the first NVIDIA GPU; None if the engine does not run on one.
        system: operating system and its version.
        load_average: of the minute before the benchmark; None if the system does not report it.
    """

    cpu: str
    cores: int
    usable_cores: int
    memory_gib: float | None
    gpu: str | None
    system: str
    load_average: float | None


def describe_machine(*, gpu: bool) -> Machine:
    """Describe this machine, with the name of its GPU only if ``gpu`` is true."""
    found = query_gpus("name") if gpu else []
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        usable_cores=usable_cores(),
        memory_gib=_memory_gib(),
        gpu=found[0][0] if found else None,
        system=platform.platform(),
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    )


def gpu_state() -> dict[str, Any]:
    """Name, driver, memory in use, clock and temperature of the first GPU by ``nvidia-smi``; empty without one.

    A number is None on a GPU that does not report it.
    """
    found = query_gpus("name", "driver_version", "memory.used", "clocks.sm", "temperature.gpu")
    if not found:
        return {}
    name, driver, *numbers = found[0]
    keys = ("memory_mib", "clock_mhz", "temperature_c")
    return {"name": name, "driver": driver, **dict(zip(keys, map(_number, numbers), strict=True))}


class GpuClockSampler:
    """Samples the SM clock of the first GPU once a second until the ``with`` block ends; without a GPU it does nothing.

    One ``nvidia-smi`` runs all the time and writes to a pipe, which holds the lines of hours, so that this process has
    no work before the end. If this process is killed, the next line ends ``nvidia-smi``, because nobody holds the pipe.
    """

    def __init__(self, *, wanted: bool) -> None:
        """Prepare; ``wanted`` is false if the engine does not run on a GPU."""
        self.samples_mhz: tuple[float, ...] = ()
        self._tool = shutil.which("nvidia-smi") if wanted else None

    def __enter__(self) -> GpuClockSampler:
        if self._tool is not None:
            query = ("--id=0", "--query-gpu=clocks.sm", "--format=csv,noheader,nounits", "--loop-ms=1000")
            self._process = subprocess.Popen(
                [self._tool, *query], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tool is None:
            return
        self._process.terminate()
        lines, _ = self._process.communicate()
        whole_lines = lines.decode(errors="replace").split("\n")[:-1]
        numbers = map(_number, whole_lines)
        self.samples_mhz = tuple(number for number in numbers if number is not None)


def resident_mib() -> float | None:
    """Resident memory of this process in MiB; None if the system does not report it."""
    return _status_mib("VmRSS")


def peak_resident_mib() -> float | None:
    """Peak resident memory of this process in MiB; None if the system does not report it."""
    peak = _status_mib("VmHWM")  # on Linux, ru_maxrss also counts the process that started this one
    if peak is not None or sys.platform == "win32":
        return peak
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


def _status_mib(key: str) -> float | None:
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    for line in status.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024 / _MIB
    return None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30), 1)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return None
