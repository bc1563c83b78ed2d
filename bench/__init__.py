"""Measuring an engine: ``mostnet-bench``, and the function behind it."""

from .options import BenchOptions
from .report import Report
from .runner import benchmark

__all__ = ["BenchOptions", "Report", "benchmark"]
