"""Checkpoint -> ONNX -> TensorRT plan, and the verification of both against PyTorch.

Modules are imported only when a name is used: a Python that builds plans may have neither PyTorch nor onnx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mostnet.contract.lazy import lazy_names

if TYPE_CHECKING:
    from .exporter import ExportResult, export, export_sizes
    from .options import CalibrationOptions, ExportOptions
    from .verification import VerificationReport, verify

__all__ = [
    "CalibrationOptions",
    "ExportOptions",
    "ExportResult",
    "VerificationReport",
    "export",
    "export_sizes",
    "verify",
]

__getattr__ = lazy_names(
    __name__,
    {
        "CalibrationOptions": "options",
        "ExportOptions": "options",
        "ExportResult": "exporter",
        "VerificationReport": "verification",
        "export": "exporter",
        "export_sizes": "exporter",
        "verify": "verification",
    },
)
