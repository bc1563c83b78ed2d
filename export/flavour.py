"""Which TensorRT builds the plan, and what differs between them, found by feature tests."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

from mostnet.contract import BackendNotInstalledError, ExportError, NoGpuError
from mostnet.engine.cuda.driver import require_gpu

MODULES = {"rtx": "tensorrt_rtx", "tensorrt": "tensorrt"}

#: What a plan of TensorRT for RTX targets unless told otherwise: Ampere, Ada and Blackwell workstations.
DEFAULT_TARGETS = ("sm_86", "sm_89", "sm_120")


def choose_flavour(wanted: str) -> str:
    """``rtx`` or ``tensorrt``, for ``wanted`` one of these or ``auto``: classic where it and a GPU are there.

    Raises:
        BackendNotInstalledError: the library is not installed; names the ways on.
        NoGpuError: classic TensorRT was asked for on a machine without a GPU.
    """
    installed = {flavour for flavour, module in MODULES.items() if importlib.util.find_spec(module) is not None}
    if wanted == "auto":
        wanted = "tensorrt" if "tensorrt" in installed and _has_gpu() else "rtx"
    if wanted not in installed:
        extra = f"pip install 'mostnet[{wanted}]'"
        raise BackendNotInstalledError(
            f"no TensorRT to build a plan with ({MODULES[wanted]} is not installed): "
            f"install it ({extra}), or export the graph alone with --onnx-only"
        )
    if wanted == "tensorrt":
        try:
            require_gpu()
        except NoGpuError as error:
            raise NoGpuError(
                f"classic TensorRT builds plans for the GPU it runs on: {error}; "
                "use --flavour rtx, or export the graph alone with --onnx-only and build on the target"
            ) from None
    return wanted


def _has_gpu() -> bool:
    try:
        return require_gpu() > 0
    except NoGpuError:
        return False


def load_tensorrt(flavour: str) -> ModuleType:
    """Import the library of a flavour that ``choose_flavour`` returned."""
    try:
        return importlib.import_module(MODULES[flavour])
    except (ImportError, OSError) as error:
        raise BackendNotInstalledError(f"{MODULES[flavour]} is installed but does not load: {error}") from error


def resolve_targets(trt: ModuleType, flavour: str, targets: tuple[str, ...] | None) -> tuple[str, ...]:
    """The GPU architectures to build for, as ``sm_86``; empty means the GPU of this machine.

    Raises:
        ExportError: targets for classic TensorRT, or an architecture that this TensorRT does not know.
    """
    if flavour == "tensorrt":
        if targets:
            raise ExportError(
                "classic TensorRT builds for the GPU it runs on; leave --target out, or use --flavour rtx"
            )
        return ()
    known = {f"sm_{name[2:]}" for name in vars(trt.ComputeCapability) if name.startswith("SM")}
    chosen = tuple(dict.fromkeys(targets or DEFAULT_TARGETS))
    unknown = [target for target in chosen if target not in known]
    if unknown:
        ordered = sorted(known, key=lambda name: int(name[3:]))
        raise ExportError(
            f"no target {', '.join(unknown)} in {trt.__name__} {trt.__version__}; it has {', '.join(ordered)}"
        )
    return chosen


def strongly_typed(trt: ModuleType) -> bool:
    """Whether networks take their precision from the ONNX types (TensorRT 9 and later)."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def network_flags(trt: ModuleType) -> int:
    """Creation flags of a network whose precision is that of its ONNX."""
    names = ("STRONGLY_TYPED", "EXPLICIT_BATCH")
    kinds: Any = trt.NetworkDefinitionCreationFlag
    # EXPLICIT_BATCH still exists, deprecated and without effect, beside STRONGLY_TYPED in 10.
    name = next((n for n in names if hasattr(kinds, n)), None)
    return 0 if name is None else 1 << int(getattr(kinds, name))
