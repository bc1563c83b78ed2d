"""Checks a TensorRT plan and the machine as far as possible without deserialising the plan, then opens it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mostnet.contract import BackendNotInstalledError, ModelFileError, NoGpuError, PlanInfo, PlanMismatchError, sha256
from mostnet.contract.arguments import size_text
from mostnet.engine.cuda.device import cuda_device
from mostnet.engine.cuda.driver import gpu_architecture, require_gpu
from mostnet.engine.interfaces import Model
from mostnet.engine.options import Options

from .cache import cache_path
from .library import MODULES, TensorRtEngine, load_library, rtx_architectures
from .model import PlanModel


def open_plan(path: Path, options: Options) -> Model:
    """Check a plan and the machine against each other, then deserialise the plan.

    Raises:
        ModelFileError: the plan was altered or truncated, or its ``.plan.json`` is missing or ill-formed.
        NoGpuError: there is no driver or no device, or ``options.provider`` asks for the CPU.
        BackendNotInstalledError: the plan's flavour of TensorRT or pycuda is missing.
        PlanMismatchError: the plan was built for another version of TensorRT or another GPU.
        DeviceMemoryError: the weights do not fit.
    """
    info = read_plan_info(path)
    _check_gpu(path, options)
    _check_installed(path, info)
    trt = load_library(MODULES[info.flavour])
    number = options.gpu_number
    architecture = gpu_architecture(number)
    check_fit(path, info, trt, architecture)
    device = cuda_device(number)
    with device:
        engine = TensorRtEngine(
            trt,
            device,
            path,
            graphs=options.graphs,
            cache=cache_path(info, architecture),
            rebuild=_rebuild_advice(info, info.flavour),
        )
    return PlanModel(device, engine, info, path, graphs=options.graphs)


def check_fit(path: Path, info: PlanInfo, trt: Any, architecture: str) -> None:
    """Check that the plan of ``info`` runs with the library ``trt`` on a GPU of ``architecture``, such as ``sm_86``.

    Raises:
        PlanMismatchError: it does not; says what it needs, what this machine has, and how to build the right plan.
    """
    if info.flavour == "rtx" and architecture not in (known := rtx_architectures(trt)):
        raise PlanMismatchError(
            f"{path}: {trt.__name__} {trt.__version__} runs no plan on the GPU of this machine, {architecture}; it "
            f"supports {', '.join(known)}; use such a GPU, or {_on_onnx_runtime(path)}, or with classic TensorRT "
            f"{_rebuild_advice(info, 'tensorrt')}"
        )
    rebuild = _rebuild_advice(info, info.flavour)
    if trt.__version__ != info.tensorrt_version:
        raise PlanMismatchError(
            f"{path}: built by {trt.__name__} {info.tensorrt_version}, and a plan loads only in that version; "
            f"{trt.__version__} is installed; install {trt.__name__}=={info.tensorrt_version}, or {rebuild}"
        )
    if architecture not in info.targets:
        raise PlanMismatchError(
            f"{path}: built for {', '.join(info.targets)}; the GPU of this machine is {architecture}; {rebuild}"
        )


def read_plan_info(path: Path) -> PlanInfo:
    """Read the description beside the plan at ``path``, and check that it describes this plan.

    Raises:
        ModelFileError: the description is missing, ill-formed or of another plan.
    """
    sidecar = path.with_name(path.name + ".json")
    if not sidecar.is_file():
        raise ModelFileError(f"{path}: its description {sidecar.name} is missing; copy both files, or export again")
    try:
        text = sidecar.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{sidecar}: not text ({error}); export the plan again") from error
    info = PlanInfo.from_json(text, source=str(sidecar))
    if info.flavour not in MODULES:
        raise ModelFileError(
            f"{sidecar}: unknown TensorRT flavour {info.flavour!r}, expected one of {list(MODULES)}; export again"
        )
    found = sha256(path)
    if found != info.plan_sha256:
        raise ModelFileError(
            f"{path}: truncated or altered: SHA-256 {found[:12]}..., expected {info.plan_sha256[:12]}... as "
            f"{sidecar.name} says; export or copy both files again"
        )
    return info


def _check_gpu(path: Path, options: Options) -> None:
    if options.provider == "cpu":
        raise NoGpuError(f"{path}: a TensorRT plan runs on a GPU, but provider is 'cpu'; {_alternative(path)}")
    try:
        require_gpu(options.gpu_number)
    except NoGpuError as error:
        raise NoGpuError(f"{path}: a TensorRT plan needs an NVIDIA GPU: {error}; {_alternative(path)}") from error


def _check_installed(path: Path, info: PlanInfo) -> None:
    package = MODULES[info.flavour]
    if find_spec(package) is None:
        others = [f"{other} is" for other in MODULES.values() if find_spec(other) is not None]
        raise BackendNotInstalledError(
            f"{path}: built by TensorRT {info.tensorrt_version} ({package}), which is not installed"
            f"{f' ({others[0]}, but neither loads plans of the other)' if others else ''}; "
            f"pip install 'mostnet[{info.flavour}]', or {_alternative(path)}"
        )
    if find_spec("pycuda") is None:
        raise BackendNotInstalledError(
            f"{path}: TensorRT plans run through pycuda, which is not installed; pip install 'mostnet[cuda]' compiles "
            f"it against the CUDA toolkit, or {_alternative(path)}"
        )


def _rebuild_advice(info: PlanInfo, flavour: str) -> str:
    """The command, without targets: it then builds for the GPU of the machine it runs on."""
    size = size_text(info.size_hw)
    calib = " --calib VIDEO" if info.precision == "int8" else ""
    return (
        f"build it again on this machine: mostnet-export CKPT.pt --{info.precision}{calib} --size {size} "
        f"--opset {info.opset} --flavour {flavour}"
    )


def _alternative(path: Path) -> str:
    return f"{_graph_instead(path)}, which runs on the CPU"


def _on_onnx_runtime(path: Path) -> str:
    return f"{_graph_instead(path)}, which runs on this GPU through ONNX Runtime (pip install 'mostnet[gpu]')"


def _graph_instead(path: Path) -> str:
    graph = path.with_suffix(".onnx")
    if graph.is_file():
        return f"open {graph.name} beside it instead"
    return f"open {graph.name} instead (mostnet-export --onnx-only makes it)"
