"""The case under test. A test that lacks something is skipped, and fails under ``MOSTNET_REQUIRE_GPU=1``.

With ``MOSTNET_STANDIN`` the stand-in for TensorRT runs the case, on the GPU or on the miniature GPU.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from mostnet.bench.gpu.cases import PLANS as CASE_PLANS
from mostnet.bench.gpu.standin.install import install
from mostnet.contract import NoGpuError, PlanInfo
from mostnet.engine import Engine, Output
from mostnet.engine.cuda.device import cuda_device
from mostnet.engine.cuda.driver import require_gpu

#: ``gpu`` or ``miniature``: what the stand-in runs on; empty for the machine's own TensorRT.
STANDIN = os.environ.get("MOSTNET_STANDIN", "")
if STANDIN not in ("", "gpu", "miniature"):
    raise pytest.UsageError(f"MOSTNET_STANDIN is {STANDIN!r}; expected gpu, miniature or nothing")
MINIATURE = install(miniature=STANDIN == "miniature") if STANDIN else None

#: File names of plans that this process can run.
PLANS = (CASE_PLANS["standin"],) if STANDIN else (CASE_PLANS["tensorrt"], CASE_PLANS["rtx"])

#: The commands that make the case's files.
_BUILD = (
    "standin.build CASES/nano-480x640-fp16"
    if STANDIN
    else ("build CASES/nano-480x640-fp16 CASES/warp-fp32 CASES/warp-fp16")
)
PREPARE = f"python -m mostnet.bench.gpu.prepare CASES --only nano-480x640, then python -m mostnet.bench.gpu.{_BUILD}"


class Case(NamedTuple):
    """A plan, its frames, and the outputs of float32 PyTorch for them."""

    plan: Path
    info: PlanInfo
    frames: list[np.ndarray]
    reference: dict[str, np.ndarray]


class Warp(NamedTuple):
    """The plan of one warp, its inputs, and the output of float32 PyTorch."""

    plan: Path
    arrays: dict[str, np.ndarray]


#: Frames of ``alone``.
COUNT = 30

#: Least frames of the case.
LEAST_FRAMES = 12

#: Frames of the tests of memory.
FRAMES = int(os.environ.get("MOSTNET_GPU_FRAMES", "2000"))


def fetch(found: Any) -> np.ndarray:
    """A copy of a result; one on the device comes by a plain, synchronous copy."""
    if isinstance(found, np.ndarray):
        return found.copy()
    host = np.empty(found.shape, found.dtype)
    with cuda_device():
        cuda_device().driver.memcpy_dtoh(host, found.address)
    return host


def same(output: Output, wanted: Output) -> bool:
    """Bit for bit."""
    pairs = ((getattr(output, name), getattr(wanted, name)) for name in ("enhanced", "flow", "mask"))
    return output.finite == wanted.finite and all(np.array_equal(fetch(left), right) for left, right in pairs)


def settle() -> None:
    """Wait for work that no stream of the engine waits for, such as a copy from pageable memory."""
    with cuda_device():
        cuda_device().driver.Context.synchronize()


def command(code: str) -> list[str]:
    """A Python that runs ``code`` with the same library as this one; arguments for ``code`` may follow."""
    prelude = "from mostnet.bench.gpu.standin.install import install\n"
    prelude += f"install(miniature={STANDIN == 'miniature'})\n"
    return [sys.executable, "-c", (prelude if STANDIN else "") + code]


def lane_of(engine: Engine) -> Any:
    """The private lane of an engine, for addresses that no result tells."""
    return engine._ring._lane


#: Begins the reason of a skip that ``MOSTNET_REQUIRE_GPU=1`` permits: no Python has all versions of all libraries.
OPTIONAL = "optional: "


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Under ``MOSTNET_REQUIRE_GPU=1``, fail each test of this folder that skips, unless its reason is ``OPTIONAL``."""
    report = (yield).get_result()
    if os.environ.get("MOSTNET_REQUIRE_GPU") == "1" and report.skipped:
        *_, reason = report.longrepr
        if OPTIONAL not in reason:
            report.outcome, report.longrepr = "failed", f"MOSTNET_REQUIRE_GPU=1: {reason}"


def cuda_torch() -> Any:
    """PyTorch with CUDA, which the Python of an older TensorRT may lack."""
    if MINIATURE is not None:
        pytest.skip(f"{OPTIONAL}PyTorch has no CUDA on the miniature GPU")
    torch = pytest.importorskip("torch", reason=f"{OPTIONAL}torch is not installed")
    if not torch.cuda.is_available():
        pytest.skip(f"{OPTIONAL}this torch has no CUDA")
    return torch


def need_tensorrt() -> None:
    """Skip the test on a stand-in."""
    if STANDIN:
        pytest.skip(f"{OPTIONAL}a stand-in takes the place of TensorRT")


def need_gpu(*modules: str) -> None:
    """Skip the test unless this machine has a GPU and ``modules``."""
    try:
        require_gpu()
    except NoGpuError as error:
        pytest.skip(str(error))
    for module in modules:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def case_folder(*files: str) -> Path:
    """The folder of ``MOSTNET_GPU_CASE``; skips the test unless it holds ``files``."""
    folder = os.environ.get("MOSTNET_GPU_CASE")
    if not folder:
        pytest.skip(f"MOSTNET_GPU_CASE names no folder of a case; {PREPARE}")
    missing = [name for name in files if not (Path(folder) / name).is_file()]
    if missing:
        pytest.skip(f"{folder} has no {missing[0]}; {PREPARE}")
    return Path(folder)


def plan_name(folder: str = ".") -> str:
    """Path of a plan, relative to ``MOSTNET_GPU_CASE``: the first of ``PLANS`` that ``folder`` has."""
    path = Path(os.environ.get("MOSTNET_GPU_CASE", ""), folder)
    return f"{folder}/{next((name for name in PLANS if (path / name).is_file()), PLANS[0])}"


@pytest.fixture(autouse=True)
def _nothing_is_misused() -> Iterator[None]:
    """The miniature GPU saw no misuse in this test."""
    yield
    if MINIATURE is not None:
        found, MINIATURE.violations = MINIATURE.violations, []
        assert found == []


@pytest.fixture(scope="session")
def case() -> Case:
    """The case of ``MOSTNET_GPU_CASE``."""
    need_gpu("pycuda")
    plan = plan_name()
    folder = case_folder(plan, f"{plan}.json", "frames.npy", "reference.npz")
    text = (folder / f"{plan}.json").read_text(encoding="utf-8")
    with np.load(folder / "reference.npz") as arrays:
        reference = {name: arrays[name] for name in arrays.files}
    frames = list(np.load(folder / "frames.npy"))
    if len(frames) < LEAST_FRAMES:
        pytest.fail(
            f"{folder} has {len(frames)} frames; the tests need {LEAST_FRAMES}: run python -m mostnet.bench."
            f"gpu.prepare CASES --again --frames {LEAST_FRAMES} --only {folder.name}, and build its plan again"
        )
    return Case(folder / plan, PlanInfo.from_json(text, source=f"{plan}.json"), frames, reference)


@pytest.fixture(scope="session")
def alone(case: Case) -> list[Output]:
    """The results of ``infer`` with default options, which every other way to run must give."""
    with Engine(case.plan) as engine:
        return [engine.infer(frame) for frame in case.frames[:COUNT]]


@pytest.fixture(params=["warp-fp32", "warp-fp16"])
def warp(request: pytest.FixtureRequest) -> Warp:
    """One of the warps beside the case's folder."""
    need_tensorrt()
    need_gpu("pycuda")
    name = f"../{request.param}"
    plan = plan_name(name)
    folder = case_folder(plan, f"{name}/arrays.npz")
    with np.load(folder / name / "arrays.npz") as arrays:
        return Warp(folder / plan, {key: arrays[key] for key in arrays.files})
