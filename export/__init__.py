"""Checkpoint -> ONNX -> TensorRT plan, and the verification of both against PyTorch."""

from .exporter import ExportOptions, ExportResult, export, export_sizes
from .verify import Report, verify

__all__ = ["ExportOptions", "ExportResult", "Report", "export", "export_sizes", "verify"]
