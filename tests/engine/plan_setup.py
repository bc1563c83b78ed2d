"""A plan file and a machine to open it on: the miniature GPU and the stand-in for TensorRT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mostnet.bench.gpu.miniature.driver import pycuda_driver
from mostnet.bench.gpu.miniature.gpu import MiniatureGpu
from mostnet.bench.gpu.miniature.graphs import graph_bindings
from mostnet.bench.gpu.miniature.library import driver_library
from mostnet.bench.gpu.standin.library import GENERATIONS, VERSIONS
from mostnet.bench.gpu.standin.miniature_runner import MiniatureRunner
from mostnet.bench.gpu.standin.plan import StandinPlan, write_plan_file
from mostnet.bench.gpu.standin.tensorrt import StandinTensorRt
from mostnet.bench.gpu.standin.toy import METADATA
from mostnet.contract import Metadata
from mostnet.engine import Engine
from mostnet.engine.cuda import device as cuda_device
from mostnet.engine.cuda import driver as cuda_driver
from mostnet.engine.tensorrt import checks as plan_backend
from mostnet.engine.tensorrt import lane as tensorrt_lane
from mostnet.engine.tensorrt import library as tensorrt_library
from mostnet.engine.tensorrt import log as tensorrt_log

#: A call of the driver in each stage.
STAGE_CALLS = {"upload": "cuMemcpyHtoDAsync", "execute": "cuGraphLaunch", "download": "cuMemcpyDtoHAsync"}


def write_plan(path: Path, metadata: Metadata = METADATA, **changes: object) -> Path:
    """Write a plan of the toy network, and its description with ``changes``."""
    values = {"flavour": "rtx", "tensorrt_version": VERSIONS["rtx"], **changes}
    return write_plan_file(path, StandinPlan(metadata=metadata), **{"targets": ("sm_86",), **values})


class Machine:
    """Opens engines of a plan on the miniature GPU."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path, generation: str = "8.6", seed: int = 0, gpus: int = 1
    ) -> None:
        self.gpu = MiniatureGpu(seed)
        for number in range(1, gpus):
            MiniatureGpu(seed + number, beside=self.gpu)
        self.trt = StandinTensorRt(MiniatureRunner(self.gpu), generation)
        self.driver = pycuda_driver(self.gpu)
        self.bindings = graph_bindings(self.gpu)
        self.library = driver_library(self.gpu)
        modules = {"pycuda.driver": self.driver, GENERATIONS[generation]: self.trt.module}
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        monkeypatch.setattr(cuda_driver, "open_library", lambda *, quick=False: self.library)
        monkeypatch.setattr(plan_backend, "find_spec", lambda name: object())
        monkeypatch.setattr(cuda_device, "import_module", modules.__getitem__)
        monkeypatch.setattr(tensorrt_library, "import_module", modules.__getitem__)
        monkeypatch.setattr(tensorrt_lane, "load_bindings", lambda: self.bindings)
        monkeypatch.setattr(cuda_device, "load_driver", lambda quick: self.library)
        cuda_device._device.cache_clear()
        tensorrt_log.tensorrt_logger.cache_clear()
        flavour = "rtx" if generation == "rtx" else "tensorrt"
        self.plan = write_plan(
            folder / "fake.plan", flavour=flavour, tensorrt_version=self.trt.module.__version__, targets=("sm_86",)
        )

    def open(self, **options: object) -> Engine:
        """An engine of the plan."""
        return Engine(self.plan, **options)

    def fetch(self, result: Any) -> np.ndarray:
        """A copy of a result as it is now, read without an operation of the GPU."""
        if isinstance(result, np.ndarray):
            return result.copy()
        interface = result.__cuda_array_interface__
        gpu = self.gpu.devices[getattr(result, "device", 0)]
        return gpu.array(interface["data"][0], interface["shape"], interface["typestr"]).copy()

    def check_empty(self) -> None:
        """All memory was given back, once and with its context; every context is popped; nothing was misused."""
        for gpu in self.gpu.devices:
            assert gpu.violations == [], gpu.violations
            assert dict(+gpu.alive) == {}, f"left on the GPU: {gpu.alive}"
            assert dict(-gpu.alive) == {}, "given back twice"
        assert self.gpu.depth == 0
        assert self.gpu.lost or self.gpu.captures.mode == 0, "a thread's capture mode was not restored"

    def close(self) -> None:
        """``check_empty``, and drop what the engine caches of this machine."""
        self.check_empty()
        cuda_device._device.cache_clear()
        tensorrt_log.tensorrt_logger.cache_clear()


@contextmanager
def machine_of(monkeypatch: pytest.MonkeyPatch, folder: Path, **options: object) -> Iterator[Machine]:
    """A machine, checked to be empty at the end."""
    machine = Machine(monkeypatch, folder, **options)
    yield machine
    machine.close()
