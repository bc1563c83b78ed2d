"""The case under test; skipped where something is missing, and failed under ``MOSTNET_REQUIRE_GPU=1``."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from mostnet.contract import NoGpuError, PlanInfo
from mostnet.engine.driver import require_gpu


class Case(NamedTuple):
    """A plan, what it is fed with, and what float32 PyTorch makes of it."""

    plan: Path
    info: PlanInfo
    frames: list[np.ndarray]
    reference: dict[str, np.ndarray]


def _lacking() -> str | None:
    try:
        require_gpu()
    except NoGpuError as error:
        return str(error)
    if find_spec("pycuda") is None:
        return "pycuda is not installed"
    folder = os.environ.get("MOSTNET_GPU_CASE")
    if not folder:
        return "MOSTNET_GPU_CASE names no folder made by tests.gpu.make_case"
    if not (Path(folder) / "case.plan.json").is_file():
        return f"{folder} has no plan: run tests.gpu.build_case"
    return None


@pytest.fixture(scope="session")
def case() -> Case:
    """The case of ``MOSTNET_GPU_CASE``."""
    lacking = _lacking()
    if lacking is not None:
        if os.environ.get("MOSTNET_REQUIRE_GPU") == "1":
            pytest.fail(f"MOSTNET_REQUIRE_GPU=1, but {lacking}")
        pytest.skip(lacking)
    folder = Path(os.environ["MOSTNET_GPU_CASE"])
    text = (folder / "case.plan.json").read_text(encoding="utf-8")
    with np.load(folder / "reference.npz") as arrays:
        reference = {name: arrays[name] for name in arrays.files}
    frames = list(np.load(folder / "frames.npy"))
    return Case(folder / "case.plan", PlanInfo.from_json(text, source="case.plan.json"), frames, reference)
