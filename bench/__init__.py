"""Benchmarks: ``mostnet-bench``, and the function behind it.

Names are imported on first use, because ``bench.gpu`` must also run in a Python with only TensorRT and numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .options import BenchOptions
    from .report import BenchReport
    from .runner import benchmark

__all__ = ["BenchOptions", "BenchReport", "benchmark"]

_HOMES = {"BenchOptions": "options", "BenchReport": "report", "benchmark": "runner"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
