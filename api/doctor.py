"""What this machine can do with mostnet, and what to install for the rest: ``mostnet doctor``.

Each ability is tried: its libraries are imported, so that one which is installed but broken shows.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mostnet.contract import NoGpuError
from mostnet.contract.cores import usable_cores
from mostnet.contract.extras import LIBRARIES, install_command
from mostnet.contract.nvidia_smi import query_gpus
from mostnet.contract.terminal import one_line
from mostnet.contract.versions import known_versions, mostnet_version
from mostnet.engine.cuda.driver import gpu_architecture
from mostnet.engine.ort.cuda_libraries import load_cuda_libraries

#: What a missing library is said to be.
_NOT_INSTALLED = "{} is not installed"
#: Libraries that mostnet always needs: what people call them, and their distributions.
_BASE = {"cv2": ("OpenCV", "opencv-python"), "av": ("PyAV", "av")}
#: An ONNX model of one Identity.
_GRAPH = (
    b'\x08\x08\x12\x00:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
_REPLACE_ONNX_RUNTIME = f"pip uninstall onnxruntime && {install_command('gpu')}"


class LackError(Exception):
    """Something that an ability needs is missing or broken.

    Attributes:
        remedy: the command that installs it; empty if no command can.
    """

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.remedy = remedy


@dataclass(frozen=True)
class Ability:
    """Something that mostnet does on this machine, or cannot do.

    Attributes:
        name: what it does.
        works: whether it can be done.
        detail: the libraries that do it, or what is missing.
        remedy: the command that installs what is missing; empty if none is missing or no command can.
        essential: whether the main job needs it: a video through an ``.onnx`` on the CPU.
    """

    name: str
    works: bool
    detail: str
    remedy: str = ""
    essential: bool = False


def abilities() -> list[Ability]:
    """Try everything. No library is needed, and none that is broken raises."""
    essential: dict[str, Callable[[], str]] = {
        "run .onnx on the CPU": _onnx_on_cpu,
        "read H.264 video": lambda: _codec("h264", "r"),
        "write H.264 video": lambda: _codec("libx264", "w"),
        "scale and draw pictures": lambda: _imported("cv2"),
    }
    others: dict[str, Callable[[], str]] = {
        "read HEVC video": lambda: _codec("hevc", "r"),
        "run .onnx on the GPU": _onnx_on_gpu,
        "run .plan of TensorRT for RTX": lambda: _plan("tensorrt_rtx"),
        "run .plan of TensorRT": lambda: _plan("tensorrt"),
        "export to .onnx": lambda: _imported("torch", "onnx", "onnxscript", extra="export"),
        "build .plan, TensorRT for RTX": lambda: _imported("tensorrt_rtx"),
        "build .plan, TensorRT": _build_classic,
        "train and evaluate": _train,
        "draw plots": lambda: _imported("matplotlib"),
        "run archives on Ray": lambda: _imported("ray"),
        "send cameras to Triton": lambda: _imported("tritonclient"),
    }
    tried = [_tried(name, probe, essential=True) for name, probe in essential.items()]
    return tried + [_tried(name, probe, essential=False) for name, probe in others.items()]


def report(found: list[Ability]) -> str:
    """The machine, its abilities and what to install, as text of several lines."""
    width = max(len(ability.name) for ability in found)
    lines = [
        f"mostnet {mostnet_version()}, Python {platform.python_version()}, {platform.platform()}",
        f"CPU  {usable_cores()} of {os.cpu_count()} cores may be used",
        *(f"GPU  {gpu}" for gpu in _gpus()),
        "",
        *(f"{'yes' if a.works else 'no ':3}  {a.name:{width}}  {a.detail}" for a in found),
        "",
    ]
    remedies: dict[str, list[str]] = {}
    for ability in found:
        if ability.remedy:
            remedies.setdefault(ability.remedy, []).append(ability.name)
    if remedies:
        wide = max(map(len, remedies))
        lines += [
            "To install what is missing:",
            *(f"  {do:{wide}}  # {', '.join(to)}" for do, to in remedies.items()),
            "",
        ]
    if platform.system() == "Linux" and any(ability.detail == _NOT_INSTALLED.format("PyTorch") for ability in found):
        lines += ["For PyTorch's CPU build, 0.2 GB instead of 2.9 GB, see docs/install.md.", ""]
    missing = [ability.name for ability in found if ability.essential and not ability.works]
    if missing:
        lines.append(f"A video cannot run through an .onnx on the CPU. This machine cannot: {', '.join(missing)}.")
    else:
        lines.append("A video can run through an .onnx on the CPU.")
    return "\n".join(lines)


def _tried(name: str, probe: Callable[[], str], *, essential: bool) -> Ability:
    try:
        return Ability(name, True, one_line(probe()), essential=essential)
    except LackError as lack:
        return Ability(name, False, one_line(lack), lack.remedy, essential)
    except Exception as error:  # a library that imports and then fails
        return Ability(name, False, one_line(f"broken: {type(error).__name__}: {error}"), essential=essential)


def _gpu() -> str:
    """Architecture of the first GPU.

    Raises:
        LackError: there is none that can be used. The line of the GPU says why.
    """
    try:
        return gpu_architecture()
    except NoGpuError as error:
        raise LackError("needs an NVIDIA GPU and its driver") from error


def _gpus() -> list[str]:
    """A line for each GPU, or why there is none."""
    try:
        architecture = gpu_architecture()
    except NoGpuError as error:
        return [f"none: {error}"]
    named = [f"{name}, driver {driver}" for name, driver in query_gpus("name", "driver_version")]
    return [f"{named[0] if named else 'unnamed, as nvidia-smi does not answer'}, {architecture}", *named[1:]]


def _module(name: str, extra: str = "") -> Any:
    """Import a library.

    Raises:
        LackError: it is not installed, or it is broken.
    """
    package = name.partition(".")[0]
    called = _called(package)
    if package in _BASE:
        remedy = f"pip install {_BASE[package][1]}"
    else:
        extras = LIBRARIES[package][1]
        remedy = install_command(extra if extra in extras else extras[0])
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name in (name, package):
            raise LackError(_NOT_INSTALLED.format(called), remedy) from error
        raise LackError(f"{called} is installed but broken: {error}", remedy) from error
    except Exception as error:  # any: what a broken library raises is its own affair
        raise LackError(f"{called} is installed but broken: {type(error).__name__}: {error}") from error


def _imported(*names: str, extra: str = "") -> str:
    """Import libraries; returns their names and versions."""
    return ", ".join(_with_version(name, _module(name, extra)) for name in names)


def _with_version(name: str, module: Any) -> str:
    version = getattr(module, "__version__", None) or known_versions([name]).get(name, "of an unknown version")
    return f"{_called(name)} {version}"


def _called(package: str) -> str:
    return (_BASE.get(package) or LIBRARIES[package])[0]


def _codec(name: str, mode: str) -> str:
    av = _module("av")
    try:
        av.codec.Codec(name, mode)
    except ValueError as error:  # PyAV's UnknownCodecError
        raise LackError(f"the FFmpeg in PyAV {av.__version__} has no {name}") from error
    return f"{_with_version('av', av)}, {name}"


def _onnx_on_cpu() -> str:
    onnxruntime = _module("onnxruntime")
    _devices(onnxruntime, "CPUExecutionProvider")
    return _with_version("onnxruntime", onnxruntime)


def _onnx_on_gpu() -> str:
    _gpu()
    onnxruntime, provider = _module("onnxruntime", "gpu"), "CUDAExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise LackError(f"ONNX Runtime {onnxruntime.__version__} is built for the CPU alone", _REPLACE_ONNX_RUNTIME)
    failures = load_cuda_libraries(onnxruntime)
    if provider not in _devices(onnxruntime, provider):
        why = "; ".join(failures) or "a CUDA or cuDNN library is missing"
        remedy = f"pip install 'onnxruntime-gpu[cuda,cudnn]=={onnxruntime.__version__}'"
        raise LackError(f"ONNX Runtime {onnxruntime.__version__} cannot open the GPU: {why}", remedy)
    return _with_version("onnxruntime", onnxruntime)


def _devices(onnxruntime: Any, provider: str) -> list[str]:
    """Open a graph on a device, and list the devices that ONNX Runtime then takes."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # what fails is in the report
    session = onnxruntime.InferenceSession(_GRAPH, settings, providers=[provider])
    return list(session.get_providers())


def _plan(library: str) -> str:
    architecture = _gpu()
    text = _imported(library)
    _module("pycuda.driver")
    return f"{text}, pycuda, {architecture}"


def _build_classic() -> str:
    _gpu()
    return _imported("tensorrt")


def _train() -> str:
    text = _imported("torch", "matplotlib", "yaml", extra="train")
    cuda = _module("torch", "train").cuda.is_available()
    return f"{text}, on {'the GPU' if cuda else 'the CPU'}"
