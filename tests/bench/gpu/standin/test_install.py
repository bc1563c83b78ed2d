"""The stand-in in place of TensorRT, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

INSTALL = "from mostnet.bench.gpu.standin.install import install\n"


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_an_engine_runs_a_case_without_a_gpu(tmp_path: Path) -> None:
    code = f"""{INSTALL}
import importlib.util, sys
gpu = install(miniature=True)
assert install(miniature=True) is gpu, "a second call changes nothing"
import numpy as np, tensorrt
from pathlib import Path
from mostnet.bench.gpu.standin.plan import write_toy_plan
from mostnet.engine import Engine
assert tensorrt.__version__ == "8.6-standin"
assert importlib.util.find_spec("tensorrt").origin == "the stand-in of mostnet"
plan = write_toy_plan(Path(sys.argv[1]))
with Engine(plan) as engine, np.load(Path(sys.argv[1]) / "reference.npz") as reference:
    frames = np.load(Path(sys.argv[1]) / "frames.npy")
    for output, mask in zip(engine.stream(frames), reference["mask"], strict=True):
        assert np.array_equal(output.mask, mask)
assert gpu.violations == [] and not +gpu.alive
assert "torch" not in sys.modules
print("done")
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
    assert done.stderr.startswith("a stand-in takes the place of TensorRT in this process: it runs on the miniature")


def test_a_network_runs_without_a_gpu(folder: Path, tmp_path: Path) -> None:
    code = f"""{INSTALL}
import sys
gpu = install(miniature=True)
import numpy as np, shutil
from pathlib import Path
from mostnet.bench.gpu.standin.plan import write_standin_plan
from mostnet.engine import Engine
case = Path(shutil.copytree(sys.argv[1], sys.argv[2]))
with Engine(write_standin_plan(case)) as engine, np.load(case / "reference.npz") as reference:
    for output, wanted in zip(engine.stream(np.load(case / "frames.npy")), reference["flow"], strict=True):
        assert output.finite and np.abs(output.flow - wanted).mean() <= 0.05
assert gpu.violations == [] and not +gpu.alive
"""
    done = run(code, folder, tmp_path / "case")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("before", "error"),
    [
        ("import sys, types; sys.modules['tensorrt'] = types.ModuleType('tensorrt')", "tensorrt  is imported already"),
        ("import sys; sys.modules['pycuda.driver'] = sys", "pycuda.driver is imported already"),
    ],
)
def test_what_is_imported_already_is_not_replaced(before: str, error: str) -> None:
    done = run(f"{before}\n{INSTALL}install(miniature=True)")
    assert done.returncode == 1
    assert f"MeasurementError: {error}" in done.stderr


def test_a_gpu_needs_pytorch_with_cuda() -> None:
    without = "import sys; sys.modules['torch'] = None\n"
    assert "MeasurementError: on a GPU the stand-in runs PyTorch" in run(f"{without}{INSTALL}install()").stderr
    code = f"import torch; torch.cuda.is_available = lambda: False\n{INSTALL}install()"
    assert "MeasurementError: PyTorch finds no CUDA device" in run(code).stderr


def test_the_stand_in_for_the_other_gpu() -> None:
    done = run(f"{INSTALL}install(miniature=True)\ninstall()")
    assert "MeasurementError: tensorrt 8.6-standin is imported already" in done.stderr


def test_neither_loads_a_plan_of_the_other(tmp_path: Path) -> None:
    code = f"""{INSTALL}
install(miniature=True)
import sys
from pathlib import Path
from mostnet.bench.gpu.standin.plan import write_toy_plan
from mostnet.engine import Engine
plan = write_toy_plan(Path(sys.argv[1]))
described = Path(str(plan) + ".json")
described.write_text(described.read_text().replace("8.6-standin", "8.6.1"))
Engine(plan)
"""
    done = run(code, tmp_path)
    assert "PlanMismatchError" in done.stderr
    assert "built by tensorrt 8.6.1, and a plan loads only in that version; 8.6-standin is installed" in done.stderr


def test_a_compute_time_passes_on_the_clock(tmp_path: Path) -> None:
    code = f"""{INSTALL}
install(miniature=True)
import sys, numpy as np
from pathlib import Path
from mostnet.bench.gpu.standin.plan import write_toy_plan
from mostnet.engine import Engine
with Engine(write_toy_plan(Path(sys.argv[1]), compute_ms=20.0)) as engine:
    for _ in range(3):
        latency_ms = engine.infer(np.zeros((64, 80, 3), np.uint8)).latency_ms
    assert engine.stats.compute_ms >= 20, engine.stats
    assert latency_ms >= 20
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
