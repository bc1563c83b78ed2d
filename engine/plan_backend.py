"""TensorRT plans: everything that can be said about a plan, and about what is missing to run it, before running it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from mostnet.contract import BackendNotInstalledError, ModelFileError, NoGpuError, PlanInfo, sha256

from .driver import require_gpu

#: Importable package and pip extra of each flavour of TensorRT.
_FLAVOURS = {"rtx": ("tensorrt_rtx", "rtx"), "tensorrt": ("tensorrt", "tensorrt")}


def open_plan(path: Path) -> NoReturn:
    """Check a plan and the machine.

    Raises:
        ModelFileError: the plan was altered or cut short, or its ``.plan.json`` is missing or ill-formed.
        NoGpuError: no driver or no device.
        BackendNotInstalledError: the plan's flavour of TensorRT is missing, or this release cannot run it yet.
    """
    info = read_plan_info(path)
    try:
        require_gpu()
    except NoGpuError as error:
        raise NoGpuError(f"{path}: a TensorRT plan needs an NVIDIA GPU: {error}; {_way_on(path)}") from error
    package, extra = _FLAVOURS[info.flavour]
    if find_spec(package) is None:
        raise BackendNotInstalledError(
            f"{path}: built by TensorRT {info.tensorrt_version} ({package}), which is not installed; "
            f"pip install 'mostnet[{extra}]', or {_way_on(path)}"
        )
    raise BackendNotInstalledError(f"{path}: this mostnet release has no TensorRT runtime yet; {_way_on(path)}")


def read_plan_info(path: Path) -> PlanInfo:
    """The description beside the plan at ``path``, once the plan is found to be the one described.

    Raises:
        ModelFileError: no description, an ill-formed one, or one of another plan.
    """
    sidecar = path.with_name(path.name + ".json")
    if not sidecar.is_file():
        raise ModelFileError(f"{path}: its description {sidecar.name} is missing; copy both files, or export again")
    try:
        text = sidecar.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{sidecar}: not text ({error}); export the plan again") from error
    info = PlanInfo.from_json(text, source=str(sidecar))
    if info.flavour not in _FLAVOURS:
        raise ModelFileError(
            f"{sidecar}: unknown TensorRT flavour {info.flavour!r}, expected one of {list(_FLAVOURS)}; export again"
        )
    found = sha256(path)
    if found != info.plan_sha256:
        raise ModelFileError(
            f"{path}: truncated or altered: SHA-256 {found[:12]}..., expected {info.plan_sha256[:12]}... as "
            f"{sidecar.name} says; export or copy both files again"
        )
    return info


def _way_on(path: Path) -> str:
    graph = path.with_suffix(".onnx")
    if graph.is_file():
        return f"open {graph.name} beside it instead, it runs on the CPU"
    return f"open {graph.name} instead (mostnet-export --onnx-only makes it), it runs on the CPU"
