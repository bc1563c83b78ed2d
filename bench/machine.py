"""What the figures were measured on: machine, versions, and the memory of this process."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mostnet.engine.ort.model import usable_cores

_MIB = 1 << 20
_NVIDIA_SMI_S = 20.0


@dataclass(frozen=True)
class Machine:
    """The machine, without its name.

    Attributes:
        cpu: model of the processor.
        cores: cores of the machine; ``usable_cores`` are those this process may use.
        memory_gib: main memory; None where the system does not say.
        gpu: name of the first NVIDIA GPU where the engine runs on one, else None.
        load_average: of the last minute, before the benchmark; None where the system does not say.
    """

    cpu: str
    cores: int
    usable_cores: int
    memory_gib: float | None
    gpu: str | None
    system: str
    load_average: float | None


def describe_machine(*, gpu: bool) -> Machine:
    """This machine; ``gpu`` says whether to ask for the name of its GPU."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        usable_cores=usable_cores(),
        memory_gib=_memory_gib(),
        gpu=gpu_state().get("name") if gpu else None,
        system=platform.platform(),
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    )


def gpu_state() -> dict[str, Any]:
    """Name, driver, memory in use, clock and temperature of the first GPU by ``nvidia-smi``; empty without one.

    A number is None on a GPU that does not report it.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    fields = ("name", "driver_version", "memory.used", "clocks.sm", "temperature.gpu")
    command = [tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_NVIDIA_SMI_S)
    except subprocess.TimeoutExpired:
        return {}
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {}
    name, driver, *numbers = (value.strip() for value in lines[0].split(","))
    keys = ("memory_mib", "clock_mhz", "temperature_c")
    return {"name": name, "driver": driver, **dict(zip(keys, map(_number, numbers), strict=True))}


def versions(names: Iterable[str]) -> dict[str, str]:
    """Version of Python and of those of the packages ``names`` that are installed."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # onnxruntime and onnxruntime-gpu are one or the other
    return found


def resident_mib() -> float | None:
    """Memory of this process in RAM, in MiB; None where the system does not say."""
    return _status_mib("VmRSS")


def peak_resident_mib() -> float | None:
    """Most memory that this process ever had in RAM, in MiB; None where the system does not say."""
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
    for line in status.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024 / _MIB
    return None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
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
