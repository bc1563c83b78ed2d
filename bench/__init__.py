"""Benchmarks: ``mostnet-bench``, and the function behind it.

Names are imported on first use, because ``bench.gpu`` must also run in a Python with only TensorRT and numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mostnet.contract.lazy import lazy_names

if TYPE_CHECKING:
    from .options import BenchOptions
    from .report import BenchReport
    from .runner import benchmark

__all__ = ["BenchOptions", "BenchReport", "benchmark"]

__getattr__ = lazy_names(__name__, {"BenchOptions": "options", "BenchReport": "report", "benchmark": "runner"})
