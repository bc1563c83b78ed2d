"""Puts the miniature GPU in place of the GPU for the rest of a process."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from time import perf_counter, sleep
from types import ModuleType, SimpleNamespace

from mostnet.contract import MeasurementError
from mostnet.engine.cuda import driver

from .driver import pycuda_driver
from .gpu import MiniatureGpu
from .graphs import graph_bindings
from .library import driver_library

_ORIGIN = "the miniature GPU of mostnet"


class LastingGpu(MiniatureGpu):
    """The device of a whole process: on the clock of the host, with 1 GiB of memory, and without a log."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed, nbytes=1 << 30)
        self.log = _NoLog()

    def pass_time(self, ms: float) -> None:
        """Sleep if the operation lasts long; the host's own time passes otherwise."""
        if ms > 0.1:
            sleep(ms / 1e3)
        self.time_ms = perf_counter() * 1e3


class _NoLog(list[tuple[object, ...]]):
    def append(self, operation: tuple[object, ...]) -> None:
        """Forget it."""


def install_miniature(gpu: MiniatureGpu) -> None:
    """Replace ``pycuda.driver``, ``cuda.bindings.driver`` and the CUDA driver by those of ``gpu`` in this process.

    Raises:
        MeasurementError: one of them is imported already.
    """
    names = ("pycuda.driver", "cuda.bindings.driver")
    for name in names:
        if name in sys.modules:
            raise MeasurementError(f"{name} is imported already; install the miniature GPU at the start of the process")
    for name, made in zip(names, (pycuda_driver(gpu), graph_bindings(gpu)), strict=True):
        _place(name, made)
    library = driver_library(gpu)
    driver.open_library = lambda *, quick=False: library


def place_module(module: ModuleType, *, origin: str) -> None:
    """Let ``import`` and ``find_spec`` find ``module`` by its name, in this process."""
    module.__spec__ = ModuleSpec(module.__name__, None, origin=origin, is_package=hasattr(module, "__path__"))
    sys.modules[module.__name__] = module
    parent, _, name = module.__name__.rpartition(".")
    if parent:
        setattr(sys.modules[parent], name, module)


def _place(name: str, made: SimpleNamespace) -> None:
    packages = name.split(".")[:-1]
    for depth in range(len(packages)):
        package = ModuleType(".".join(packages[: depth + 1]))
        package.__path__ = []
        place_module(package, origin=_ORIGIN)
    module = ModuleType(name)
    module.__dict__.update(vars(made))
    place_module(module, origin=_ORIGIN)
