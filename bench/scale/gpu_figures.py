"""Speeds that committed GPU reports hold, and what each is worth. Nothing else about GPUs is measured."""

from __future__ import annotations

from dataclasses import dataclass

from .simulate import ServerModel


@dataclass(frozen=True, kw_only=True)
class GpuFigure:
    """A measured speed on one NVIDIA H200 at 480x640 in half precision.

    Attributes:
        network: ``nano`` or ``dw``.
        runtime: what ran it.
        fps: frames per second of ``stream``, with copies in and out.
        worth: what the figure says and what it does not.
        report: the folder in ``bench/results``.
    """

    network: str
    runtime: str
    fps: float
    worth: str
    report: str

    @property
    def server(self) -> ServerModel:
        """A server with one place that takes as long as a frame took."""
        return ServerModel(places=1, service_ms=[[1e3 / self.fps]])


GPU_FIGURES = (
    GpuFigure(
        network="nano",
        runtime="TensorRT 8.6, level 0",
        fps=341.0,
        worth="no measurement of speed: two builds ran beside it",
        report="2026-11-28-h200-tensorrt",
    ),
    GpuFigure(
        network="dw",
        runtime="ONNX Runtime 1.31.1",
        fps=187.1,
        worth="measured; a paused training held memory",
        report="2026-11-27-h200-onnxruntime",
    ),
    GpuFigure(
        network="dw",
        runtime="PyTorch in a CUDA graph",
        fps=449.3,
        worth="measured with the stand-in; says nothing of TensorRT",
        report="2026-11-26-h200-standin",
    ),
    GpuFigure(
        network="none, 0.3 ms",
        runtime="the engine alone",
        fps=2447.0,
        worth="measured: the host's copies are the limit; no network on this runtime is faster",
        report="2026-11-26-h200-standin",
    ),
)
