"""The extras of mostnet, and which of them installs a library that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import BackendNotInstalledError

#: For each importable package: what people call it, and the extras that install it. The first is the usual one.
LIBRARIES = {
    "torch": ("PyTorch", ("export", "train")),
    "onnx": ("onnx", ("export",)),
    "onnxscript": ("onnxscript", ("export",)),
    "onnxruntime": ("ONNX Runtime", ("cpu", "gpu")),
    "matplotlib": ("matplotlib", ("plot", "train", "scale")),
    "yaml": ("PyYAML", ("train",)),
    "tensorboard": ("TensorBoard", ("tensorboard",)),
    "torchvision": ("torchvision", ("table1",)),
    "segmentation_models_pytorch": ("segmentation_models_pytorch", ("table1",)),
    "tensorrt_rtx": ("TensorRT for RTX", ("rtx",)),
    "tensorrt": ("TensorRT", ("tensorrt",)),
    "ray": ("Ray", ("ray",)),
    "simpy": ("SimPy", ("scale",)),
    "tritonclient": ("tritonclient", ("triton", "triton-server")),
    "pytriton": ("nvidia-pytriton", ("triton-server",)),
    "pycuda": ("pycuda", ("cuda",)),
}


def install_command(extra: str) -> str:
    """The command that installs an extra, or several with commas between."""
    return f"pip install 'mostnet[{extra}]'"


@contextmanager
def extras_named(preferred: str = "") -> Iterator[None]:
    """Turn the failed import of a library into the extra that installs it.

    Args:
        preferred: extra to name if it installs the library; otherwise the usual one is named.

    Raises:
        BackendNotInstalledError: the block imported one of ``LIBRARIES``, and it is not installed. A library that is
            installed and lacks a module of its own raises as before.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in LIBRARIES:
            raise
        name, extras = LIBRARIES[error.name]
        extra = preferred if preferred in extras else extras[0]
        raise BackendNotInstalledError(f"{name} is not installed; {install_command(extra)}") from error
