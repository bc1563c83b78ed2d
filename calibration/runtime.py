"""ONNX Runtime, which observes and quantises graphs. FP32 and FP16 exports work without it."""

from __future__ import annotations

from importlib.util import find_spec

from mostnet.contract import BackendNotInstalledError


def require_onnxruntime() -> None:
    """Check that ONNX Runtime is installed.

    Raises:
        BackendNotInstalledError: it is not.
    """
    if find_spec("onnxruntime") is None:
        raise BackendNotInstalledError(
            "ONNX Runtime, which calibrates and quantises graphs, is not installed: pip install 'mostnet[cpu]', or for "
            "CUDA 'mostnet[gpu]'; plain --fp16 and --fp32 need neither"
        )
