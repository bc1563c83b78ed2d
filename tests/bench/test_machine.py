"""The description of machine, memory and load by other processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mostnet.bench import load as load_module
from mostnet.bench.load import LoadMeter, disturbed_parts
from mostnet.bench.machine import GpuClockSampler, describe_machine, gpu_state

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_the_machine_is_described() -> None:
    machine = describe_machine(gpu=False)
    assert machine.cpu and machine.system
    assert 1 <= machine.usable_cores <= machine.cores == os.cpu_count()
    assert machine.gpu is None


def test_the_gpu_s_name_comes_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\n[ $1 = --query-gpu=name ] && exec printf 'NVIDIA Test 1\\nNVIDIA Test 2\\n'\n"
        "echo 'NVIDIA Test 1, 580.1, 12, [N/A], 40'\necho 'NVIDIA Test 2, 580.1, 1, 2, 3'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert describe_machine(gpu=True).gpu == "NVIDIA Test 1"
    figures = {"memory_mib": 12.0, "clock_mhz": None, "temperature_c": 40.0}
    assert gpu_state() == {"name": "NVIDIA Test 1", "driver": "580.1", **figures}
    tool.write_text("#!/bin/sh\necho 'no devices were found'\nexit 6\n")
    assert describe_machine(gpu=True).gpu is None
    assert gpu_state() == {}
    tool.write_text("#!/bin/sh\necho 'NVIDIA Test 1'\n")
    assert describe_machine(gpu=True).gpu == "NVIDIA Test 1"
    assert gpu_state() == {}


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ``nvidia-smi`` that notes its arguments and process, prints clocks, then runs until it is ended."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\nprintf '1980\\n[N/A]\\n210\\n19'\n"
        f"echo $$ $* > {tmp_path}/new && mv {tmp_path}/new {tmp_path}/started\nexec sleep 600\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "started"


def wait_for(path: Path) -> list[str]:
    """Words of a file that another process writes."""
    until_s = time.monotonic() + 60
    while not path.exists() and time.monotonic() < until_s:
        time.sleep(0.01)
    return path.read_text().split()


def test_clocks_are_sampled_by_one_process_that_ends_with_the_block(nvidia_smi: Path) -> None:
    with GpuClockSampler(wanted=True) as clocks:
        process, *arguments = wait_for(nvidia_smi)
        assert clocks.samples_mhz == ()
    assert clocks.samples_mhz == (1980.0, 210.0), "neither a clock that is not reported nor a broken line counts"
    assert arguments == ["--id=0", "--query-gpu=clocks.sm", "--format=csv,noheader,nounits", "--loop-ms=1000"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)


def test_a_failure_ends_the_sampling_too(nvidia_smi: Path) -> None:
    def fail() -> None:
        wait_for(nvidia_smi)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), GpuClockSampler(wanted=True):
        fail()
    with pytest.raises(ProcessLookupError):
        os.kill(int(wait_for(nvidia_smi)[0]), 0)


def test_no_clocks_without_a_gpu(nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with GpuClockSampler(wanted=False) as clocks:
        pass
    assert clocks.samples_mhz == () and not nvidia_smi.exists(), "the engine runs on the CPU"
    monkeypatch.setenv("PATH", "")
    with GpuClockSampler(wanted=True) as clocks:
        pass
    assert clocks.samples_mhz == ()


#: In a process of its own: in an old one, the block may lie in memory that is resident since something was freed there.
_ALLOCATION = """
import numpy as np
from mostnet.bench.machine import peak_resident_mib, resident_mib
before = resident_mib()
block = np.ones(64 << 20, np.uint8)
print(before, resident_mib(), peak_resident_mib())
"""


@ON_LINUX
def test_resident_memory_follows_an_allocation() -> None:
    done = subprocess.run([sys.executable, "-c", _ALLOCATION], capture_output=True, encoding="utf-8", check=True)
    before, after, peak = map(float, done.stdout.split())
    assert 60 < after - before < 80
    assert peak >= after - 1


def test_load_by_others_excludes_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([(10.0, 100.0, 5.0), (12.0, 103.0, 6.0), (12.0, 103.0, 6.0), None])
    monkeypatch.setattr(load_module, "_read", lambda: next(readings))
    meter = LoadMeter()
    assert meter.lap() == pytest.approx(1.0), "3 s busy, 1 s of it ours, in 2 s"
    assert meter.lap() == 0.0
    assert meter.lap() is None


@ON_LINUX
def test_load_is_read_from_this_machine() -> None:
    meter = LoadMeter()
    sum(range(3_000_000))
    taken = meter.lap()
    assert taken is not None and 0 <= taken <= (os.cpu_count() or 1) + 0.5


def test_only_load_on_needed_cores_disturbs() -> None:
    others = {"quiet": 0.1, "busy": 0.5, "unknown": None}
    assert disturbed_parts(others, threads=2, cores=2) == ["busy"]
    assert disturbed_parts(others, threads=2, cores=8) == []


_SAMPLING = """
import time
from mostnet.bench.machine import GpuClockSampler
with GpuClockSampler(wanted=True):
    time.sleep(60)
"""


@ON_LINUX
def test_a_killed_benchmark_ends_the_sampling(tmp_path: Path) -> None:
    tool, note = tmp_path / "nvidia-smi", tmp_path / "process"
    tool.write_text(f"#!/bin/sh\necho $$ > {note}\nwhile sleep 0.1; do echo 1980 || exit 1; done\n")
    tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    bench = subprocess.Popen([sys.executable, "-c", _SAMPLING], env=environment)
    while not note.exists() or not note.read_text().strip():
        time.sleep(0.05)
    sampler = Path(f"/proc/{int(note.read_text())}")
    bench.kill()
    bench.wait()
    for _ in range(50):
        if not sampler.exists():
            break
        time.sleep(0.1)
    assert not sampler.exists()
