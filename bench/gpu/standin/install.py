"""Puts the stand-in in place of TensorRT for the rest of a process, so that ``mostnet.Engine`` opens its plans."""

from __future__ import annotations

import logging
import sys

from mostnet.bench.gpu.miniature.install import LastingGpu, install_miniature, place_module
from mostnet.contract import MeasurementError

from .miniature_runner import MiniatureRunner
from .runner import Runner
from .tensorrt import StandinModule, StandinTensorRt

_LOG = logging.getLogger(__name__)

_GENERATION = "8.6"


def install(*, miniature: bool = False) -> LastingGpu | None:
    """Let ``import tensorrt`` give the stand-in, in this process.

    On a GPU it needs PyTorch with CUDA. With ``miniature``, the miniature GPU also replaces pycuda, ``cuda.bindings``
    and the CUDA driver, and the toy network needs no PyTorch. A second call changes nothing.

    Returns:
        The miniature GPU; None on a real one.

    Raises:
        MeasurementError: the real TensorRT is imported already, or a driver of the real GPU, or the stand-in for the
            other kind of GPU; or PyTorch has no CUDA.
    """
    found = sys.modules.get("tensorrt")
    if isinstance(found, StandinModule) and (found.gpu is not None) == miniature:
        installed: LastingGpu | None = found.gpu
        return installed
    if found is not None:
        raise MeasurementError(
            f"tensorrt {getattr(found, '__version__', '')} is imported already; install the stand-in at the start of "
            "the process, once"
        )
    gpu = LastingGpu() if miniature else None
    if gpu is not None:
        install_miniature(gpu)
    module = StandinTensorRt(_runner(gpu), _GENERATION).module
    module.gpu = gpu
    place_module(module, origin="the stand-in of mostnet")
    _LOG.warning(
        "a stand-in takes the place of TensorRT in this process: %s; its figures say nothing of TensorRT",
        "it runs on the miniature GPU" if miniature else "it runs PyTorch on the GPU",
    )
    return gpu


def _runner(gpu: LastingGpu | None) -> Runner:
    if gpu is not None:
        return MiniatureRunner(gpu)
    try:
        import torch  # the miniature GPU needs none
    except ImportError as error:
        raise MeasurementError(f"on a GPU the stand-in runs PyTorch, which does not load: {error}") from error
    if not torch.cuda.is_available():
        raise MeasurementError("PyTorch finds no CUDA device; install a CUDA build of torch, or use the miniature GPU")
    from .cuda_runner import CudaRunner

    return CudaRunner()
