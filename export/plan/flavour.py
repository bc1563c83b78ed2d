"""Chooses the TensorRT that builds a plan. It tests for features where versions differ."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from mostnet.contract import BackendNotInstalledError, ExportError, NoGpuError
from mostnet.engine.cuda.driver import gpu_architecture, require_gpu
from mostnet.engine.tensorrt.library import MODULES, load_library, rtx_architectures

#: Targets of TensorRT for RTX on a machine without a GPU: Ampere, Ada and Blackwell workstations.
DEFAULT_TARGETS = ("sm_86", "sm_89", "sm_120")

#: The ways on for a GPU that TensorRT for RTX leaves out.
_WITHOUT_RTX = (
    "build for it with classic TensorRT (pip install 'mostnet[tensorrt]', --flavour tensorrt), export the graph alone "
    f"for ONNX Runtime (--onnx-only), or build for other GPUs (--target {','.join(DEFAULT_TARGETS)})"
)


@dataclass(frozen=True)
class Toolchain:
    """A TensorRT that builds plans.

    Attributes:
        trt: the imported library.
        flavour: ``rtx`` or ``tensorrt``.
        targets: GPU architectures to build for, such as ``sm_86``; empty for the GPU of this machine.
    """

    trt: Any
    flavour: str
    targets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name and version of the library."""
        return f"{self.trt.__name__} {self.trt.__version__}"


def find_toolchain(flavour: str, targets: tuple[str, ...] | None) -> Toolchain:
    """Import the TensorRT of a flavour, ``rtx``, ``tensorrt`` or ``auto``.

    Args:
        targets: GPU architectures to build for, such as ``sm_86``; None for the GPU of this machine, or, if it has
            none, for ``DEFAULT_TARGETS``.

    Raises:
        BackendNotInstalledError: the library is not installed, or does not load.
        NoGpuError: classic TensorRT on a machine without a GPU.
        ExportError: targets, or a GPU of this machine, that this TensorRT cannot build for.
    """
    chosen = choose_flavour(flavour)
    trt = load_library(MODULES[chosen])
    return Toolchain(trt, chosen, resolve_targets(trt, chosen, targets))


def choose_flavour(wanted: str) -> str:
    """``rtx`` or ``tensorrt``; ``auto`` is classic TensorRT if it is installed and there is a GPU, else RTX.

    Raises:
        BackendNotInstalledError: the library is not installed; says what to do instead.
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


def resolve_targets(trt: Any, flavour: str, targets: tuple[str, ...] | None) -> tuple[str, ...]:
    """The GPU architectures to build for, such as ``sm_86``; empty means the GPU of this machine.

    Raises:
        ExportError: targets for classic TensorRT, or a GPU that TensorRT for RTX does not support.
    """
    if flavour == "tensorrt":
        if targets:
            raise ExportError(
                "classic TensorRT builds for the GPU it runs on; leave --target out, or use --flavour rtx"
            )
        return ()
    known = rtx_architectures(trt)
    supported = f"{trt.__name__} {trt.__version__} supports {', '.join(known)}"
    if not targets and _has_gpu():
        if (here := gpu_architecture()) not in known:
            raise ExportError(f"the GPU of this machine is {here}, and {supported}; {_WITHOUT_RTX}")
        return ()
    chosen = tuple(dict.fromkeys(targets or DEFAULT_TARGETS))
    unknown = [target for target in chosen if target not in known]
    if unknown:
        raise ExportError(
            f"no target {', '.join(unknown)}: {supported}; for other GPUs, build on one with classic TensorRT "
            "(--flavour tensorrt)"
        )
    return chosen


def set_targets(toolchain: Toolchain, config: Any) -> None:
    """Tell the builder configuration of TensorRT for RTX which GPUs to build for. Classic TensorRT has no choice.

    Raises:
        NoGpuError: the toolchain builds for the GPU of this machine, and there is none.
        ExportError: TensorRT refuses a target.
    """
    if toolchain.flavour != "rtx":
        return
    kinds = toolchain.trt.ComputeCapability
    capabilities = [getattr(kinds, target.replace("sm_", "SM")) for target in toolchain.targets]
    if not capabilities:
        _require_own_gpu(toolchain)
        capabilities = [kinds.CURRENT]  # without it TensorRT builds for 8.6, 8.9 and 12.0 only
    config.num_compute_capabilities = len(capabilities)
    for i, capability in enumerate(capabilities):
        if not config.set_compute_capability(capability, i):
            raise ExportError(f"{toolchain.name} refuses the target {capability}; build for another with --target")


def strongly_typed(trt: Any) -> bool:
    """Whether networks take their precision from the ONNX types (TensorRT 9 and later)."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def network_flags(trt: Any) -> int:
    """Creation flags of a network that takes its precision from the ONNX types, as far as this TensorRT can."""
    kinds = trt.NetworkDefinitionCreationFlag
    # TensorRT 10 has EXPLICIT_BATCH too, deprecated and without effect.
    name = next((n for n in ("STRONGLY_TYPED", "EXPLICIT_BATCH") if hasattr(kinds, n)), None)
    return 0 if name is None else 1 << int(getattr(kinds, name))


def _require_own_gpu(toolchain: Toolchain) -> None:
    try:
        require_gpu()
    except NoGpuError as error:
        raise NoGpuError(
            f"{toolchain.name} without targets builds for the GPU of this machine: {error}; name the GPUs to build "
            f"for, such as --target {','.join(DEFAULT_TARGETS)}"
        ) from error


def _has_gpu() -> bool:
    try:
        return require_gpu() > 0
    except NoGpuError:
        return False
