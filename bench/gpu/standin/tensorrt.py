"""Modules like ``tensorrt`` and ``tensorrt_rtx`` on the miniature GPU, in the generations that differ.

Every plan is the toy network of ``mostnet.bench.gpu.standin.toy``.
"""

from __future__ import annotations

import weakref
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

from mostnet.bench.gpu.miniature.gpu import MiniatureGpu
from mostnet.contract import TensorSpec

from .toy import INPUTS, OUTPUTS, step

SCRATCH = 1000
GENERATIONS = {"8.6": "tensorrt", "10.0": "tensorrt", "11.4": "tensorrt", "rtx": "tensorrt_rtx"}

#: Names that a generation lacks.
LACKING = {
    "8.6": {
        "set_device_memory",
        "is_stream_capturable",
        "device_memory_size_v2",
        "create_runtime_config",
        "create_execution_context",
    },
    "10.0": {"set_device_memory", "is_stream_capturable", "device_memory_size_v2", "create_runtime_config"},
    "11.4": {"is_stream_capturable", "device_memory", "device_memory_size"}
    | {"create_execution_context_without_device_memory"},
    "rtx": {"device_memory_size", "create_execution_context_without_device_memory"},
}

_DTYPE_NAMES = {"uint8": "UINT8", "int8": "INT8", "bool": "BOOL", "float16": "HALF", "float32": "FLOAT"}


class StandinModule(ModuleType):
    """A module with the given attributes."""

    def __init__(self, name: str, **attributes: object) -> None:
        super().__init__(name)
        self.__dict__.update(attributes)


class StandinEnum:
    """A value of a pybind enumeration."""

    def __init__(self, name: str) -> None:
        self.name = name


def _enum(*names: str) -> SimpleNamespace:
    return SimpleNamespace(**{name: StandinEnum(name) for name in names})


_NONE = SimpleNamespace(generation=None)


class StandinVerbosity(IntEnum):
    """``ProfilingVerbosity``."""

    LAYER_NAMES_ONLY = 0
    DETAILED = 1


class StandinContext:
    """``IExecutionContext`` of a plan that was built to be inspected."""

    nvtx_verbosity = StandinVerbosity.DETAILED

    def __init__(self, library: StandinTensorRt) -> None:
        self.library = library
        self.addresses: dict[str, int] = {}
        self.scratch = 0
        self.runs = 0
        library.gpu.made("context")
        library.contexts.append(weakref.ref(self))

    def __del__(self) -> None:
        self.library.gpu.destroyed("context")

    def __setattr__(self, name: str, value: object) -> None:
        assert name not in self.library_lacks(), f"no {name} in {self.library.generation}"
        super().__setattr__("scratch" if name == "device_memory" else name, value)

    def __getattribute__(self, name: str) -> object:
        if name in object.__getattribute__(self, "library_lacks")():
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    def library_lacks(self) -> set[str]:
        """Names that this generation lacks."""
        generation = object.__getattribute__(self, "__dict__").get("library", _NONE).generation
        return set() if generation is None else LACKING[generation]

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert self.runs == 0, "an address changed after the first run"
        self.addresses[name] = address
        return name in {spec.name for spec in (*INPUTS, *OUTPUTS)} and not self.library.says_no("address")

    def execute_async_v3(self, handle: int) -> bool:
        gpu, stream = self.library.gpu, self.library.gpu.streams[handle]
        if self.library.says_no("enqueue"):
            return False
        assert self.addresses.keys() == {spec.name for spec in (*INPUTS, *OUTPUTS)}
        assert self.scratch % 256 == 0 and self.scratch
        assert self.nvtx_verbosity is StandinVerbosity.LAYER_NAMES_ONLY, "detailed markers cost time in every enqueue"
        if stream.capture is not None and self.runs == 0:
            gpu.violations.append("captured before the first run")
        self.runs += 1
        self.library.streams.add(handle)
        gpu.log.append(("enqueue", self.addresses["frame"]))
        stream.put(self._compute)
        return True

    def set_device_memory(self, address: int, nbytes: int) -> None:
        assert nbytes >= SCRATCH
        self.scratch = address

    def is_stream_capturable(self, handle: int) -> bool:
        return self.library.capturable

    def _compute(self) -> None:
        gpu = self.library.gpu
        gpu.at(self.scratch, SCRATCH).fill(0xEE)
        inputs, outputs = (
            {spec.name: gpu.array(self.addresses[spec.name], spec.shape, spec.dtype) for spec in specs}
            for specs in (INPUTS, OUTPUTS)
        )
        for name, value in step(inputs).items():
            outputs[name][...] = value


class StandinEngine:
    """``ICudaEngine``."""

    def __init__(self, library: StandinTensorRt) -> None:
        self.library = library
        library.gpu.made("engine")

    def __del__(self) -> None:
        if self.library.gpu.alive["context"]:
            self.library.gpu.violations.append("an engine went before its contexts")
        self.library.gpu.destroyed("engine")

    @property
    def num_io_tensors(self) -> int:
        return len(self.library.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.library.tensors)[index]

    def get_tensor_dtype(self, name: str) -> object:
        return SimpleNamespace(name=_DTYPE_NAMES[self.library.tensors[name].dtype])

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.library.tensors[name].shape

    def get_tensor_mode(self, name: str) -> object:
        modes = self.library.module.TensorIOMode
        return modes.INPUT if name in {spec.name for spec in INPUTS} else modes.OUTPUT

    def __getattribute__(self, name: str) -> object:
        library = object.__getattribute__(self, "__dict__").get("library")
        if library is not None and name in LACKING[library.generation]:
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    @property
    def device_memory_size(self) -> int:
        return SCRATCH

    @property
    def device_memory_size_v2(self) -> int:
        return SCRATCH

    def create_runtime_config(self) -> StandinConfig:
        return self.library.config

    def create_execution_context_without_device_memory(self) -> StandinContext | None:
        return None if self.library.says_no("context") else StandinContext(self.library)

    def create_execution_context(
        self, strategy: StandinEnum | None = None, runtime_config: StandinConfig | None = None
    ) -> StandinContext | None:
        chosen = strategy if runtime_config is None else runtime_config.strategy
        assert chosen is not None
        assert chosen.name == "USER_MANAGED"
        return None if self.library.says_no("context") else StandinContext(self.library)


class StandinCache:
    """``IRuntimeCache``."""

    content = b""

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(b"kernels"):
            return False
        self.content = blob
        return True

    def serialize(self) -> bytes:
        return self.content or b"kernels v1"


class StandinConfig:
    """``IRuntimeConfig``."""

    cuda_graph_strategy: StandinEnum
    strategy: StandinEnum
    cache: StandinCache | None = None

    def set_execution_context_allocation_strategy(self, strategy: StandinEnum) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> StandinCache:
        return StandinCache()

    def set_runtime_cache(self, cache: StandinCache) -> None:
        self.cache = cache


class StandinTensorRt:
    """One generation, imported as ``module``.

    ``refusals`` maps a step to how often it succeeds before it fails, and the error line that it logs then.
    """

    def __init__(self, gpu: MiniatureGpu, generation: str) -> None:
        self.gpu = gpu
        self.generation = generation
        self.refusals: dict[str, tuple[int, str]] = {}
        self.capturable = True
        self.config = StandinConfig()
        self.streams: set[int] = set()
        self.contexts: list[weakref.ref[StandinContext]] = []
        self.tensors: dict[str, TensorSpec] = {spec.name: spec for spec in (*INPUTS, *OUTPUTS)}
        self.logger: Any = None
        self.module = self._make_module()

    def says_no(self, step: str) -> bool:
        """True if ``step`` fails this time; logs its error line."""
        if step not in self.refusals:
            return False
        left, line = self.refusals.pop(step)
        if left:
            self.refusals[step] = (left - 1, line)
            return False
        self.logger.log(self.module.ILogger.ERROR, line)
        return True

    def _make_module(self) -> StandinModule:
        library = self

        class ILogger:
            INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        class Runtime:
            def __init__(self, logger: ILogger) -> None:
                library.logger = logger

            def deserialize_cuda_engine(self, data: bytes) -> StandinEngine | None:
                assert isinstance(data, bytes)
                return None if library.says_no("deserialise") else StandinEngine(library)

        later: dict[str, object] = {}
        if self.generation != "8.6":
            later["ExecutionContextAllocationStrategy"] = _enum("STATIC", "ON_PROFILE_CHANGE", "USER_MANAGED")
        if self.generation == "rtx":
            later["CudaGraphStrategy"] = _enum("DISABLED", "WHOLE_GRAPH_CAPTURE")
        return StandinModule(
            GENERATIONS[self.generation],
            __version__="1.7.1" if self.generation == "rtx" else self.generation,
            ILogger=ILogger,
            Runtime=Runtime,
            TensorIOMode=_enum("NONE", "INPUT", "OUTPUT"),
            ComputeCapability=_enum("SM86", "SM89"),
            **later,
        )
