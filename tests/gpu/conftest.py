"""The case under test; skipped where something is missing, and failed under ``MOSTNET_REQUIRE_GPU=1``."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from mostnet.contract import NoGpuError, PlanInfo
from mostnet.engine.cuda.driver import require_gpu


class Case(NamedTuple):
    """A plan, what it is fed with, and what float32 PyTorch makes of it."""

    plan: Path
    info: PlanInfo
    frames: list[np.ndarray]
    reference: dict[str, np.ndarray]


class Warp(NamedTuple):
    """The plan of one warp, its inputs, and what PyTorch makes of them in float32."""

    plan: Path
    arrays: dict[str, np.ndarray]


def lacking(*modules: str, files: tuple[str, ...]) -> str | None:
    """What a test of ``files`` in the case's folder needs and this machine has not; None where all is there."""
    try:
        require_gpu()
    except NoGpuError as error:
        return str(error)
    for module in modules:
        if find_spec(module) is None:
            return f"{module} is not installed"
    folder = os.environ.get("MOSTNET_GPU_CASE")
    if not folder:
        return "MOSTNET_GPU_CASE names no folder made by mostnet.bench.gpu.prepare"
    missing = [name for name in files if not (Path(folder) / name).is_file()]
    return f"{folder} has no {missing[0]}: run mostnet.bench.gpu.prepare and gpu_build" if missing else None


def require(what_lacks: str | None) -> Path:
    """The case's folder; ends the test where something lacks."""
    if what_lacks is not None:
        if os.environ.get("MOSTNET_REQUIRE_GPU") == "1":
            pytest.fail(f"MOSTNET_REQUIRE_GPU=1, but {what_lacks}")
        pytest.skip(what_lacks)
    return Path(os.environ["MOSTNET_GPU_CASE"])


@pytest.fixture(scope="session")
def case() -> Case:
    """The case of ``MOSTNET_GPU_CASE``."""
    folder = require(lacking("pycuda", files=("case.plan.json", "frames.npy", "reference.npz")))
    text = (folder / "case.plan.json").read_text(encoding="utf-8")
    with np.load(folder / "reference.npz") as arrays:
        reference = {name: arrays[name] for name in arrays.files}
    frames = list(np.load(folder / "frames.npy"))
    return Case(folder / "case.plan", PlanInfo.from_json(text, source="case.plan.json"), frames, reference)


@pytest.fixture(params=["warp-fp32", "warp-fp16"])
def warp(request: pytest.FixtureRequest) -> Warp:
    """One of the warps beside the case's folder."""
    name = f"../{request.param}"
    folder = require(lacking("pycuda", files=(f"{name}/case.plan", f"{name}/arrays.npz"))) / name
    with np.load(folder / "arrays.npz") as arrays:
        return Warp(folder / "case.plan", {key: arrays[key] for key in arrays.files})
