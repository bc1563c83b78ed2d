"""Checkpoint -> ONNX -> TensorRT plan, and the verification of both against PyTorch.

Modules are imported only when a name is used: a Python that builds plans may have neither PyTorch nor onnx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "CalibrationOptions": "options",
    "ExportOptions": "options",
    "ExportResult": "exporter",
    "VerificationReport": "verification",
    "export": "exporter",
    "export_sizes": "exporter",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
