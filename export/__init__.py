"""Checkpoint -> ONNX -> TensorRT plan, and the verification of both against PyTorch.

Modules are imported only when a name is used: a Python that builds plans may have neither PyTorch nor onnx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mostnet.contract.lazy import lazy_names

if TYPE_CHECKING:
    from .exporter import ExportResult, export, export_sizes
    from .options import CalibrationOptions, ExportOptions
    from .triton.options import TritonOptions
    from .triton.repository import ModelFiles, write_repository
    from .verification import VerificationReport, verify

__all__ = [
    "CalibrationOptions",
    "ExportOptions",
    "ExportResult",
    "ModelFiles",
    "TritonOptions",
    "VerificationReport",
    "export",
    "export_sizes",
    "verify",
    "write_repository",
]

__getattr__ = lazy_names(
    __name__,
    {
        "CalibrationOptions": "options",
        "ExportOptions": "options",
        "ExportResult": "exporter",
        "ModelFiles": "triton.repository",
        "TritonOptions": "triton.options",
        "VerificationReport": "verification",
        "export": "exporter",
        "export_sizes": "exporter",
        "verify": "verification",
        "write_repository": "triton.repository",
    },
)
