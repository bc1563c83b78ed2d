"""Engines and execution contexts of the stand-in, with the part of TensorRT's interface that mostnet uses."""

from __future__ import annotations

import weakref
from enum import IntEnum
from types import SimpleNamespace
from weakref import WeakSet

from .library import StandinLibrary
from .plan import StandinPlan
from .runner import Binding, Bindings, LoadedNetwork, NetworkTask

SCRATCH = 1000

_DTYPE_NAMES = {"uint8": "UINT8", "int8": "INT8", "bool": "BOOL", "float16": "HALF", "float32": "FLOAT"}


class StandinEnum:
    """A value of a pybind enumeration."""

    def __init__(self, name: str) -> None:
        self.name = name


def enumeration(*names: str) -> SimpleNamespace:
    """A pybind enumeration with these values."""
    return SimpleNamespace(**{name: StandinEnum(name) for name in names})


#: ``TensorIOMode``.
MODES = enumeration("NONE", "INPUT", "OUTPUT")


class StandinVerbosity(IntEnum):
    """``ProfilingVerbosity``."""

    LAYER_NAMES_ONLY = 0
    DETAILED = 1


class _OfGeneration:
    """An object without the attributes that its generation lacks."""

    library: StandinLibrary

    def __getattribute__(self, name: str) -> object:
        library = object.__getattribute__(self, "__dict__").get("library")
        if library is not None and library.lacks(name):
            raise AttributeError(name)
        return object.__getattribute__(self, name)


class StandinContext(_OfGeneration):
    """``IExecutionContext`` of a plan that was built to be inspected."""

    nvtx_verbosity = StandinVerbosity.DETAILED

    def __init__(self, library: StandinLibrary, plan: StandinPlan, network: LoadedNetwork) -> None:
        self.library = library
        self.addresses: dict[str, int] = {}
        self.scratch = 0
        self._plan = plan
        self._network = network
        self._task: NetworkTask | None = None
        library.runner.made("context")
        library.contexts.append(weakref.ref(self))

    def __del__(self) -> None:
        self._task = None
        self.library.runner.destroyed("context")

    def __setattr__(self, name: str, value: object) -> None:
        library = object.__getattribute__(self, "__dict__").get("library")
        assert library is None or not library.lacks(name), f"no {name} in {self.library.generation}"
        super().__setattr__("scratch" if name == "device_memory" else name, value)

    def set_tensor_address(self, name: str, address: int) -> bool:
        """Bind a tensor. mostnet may not do so once the context has run."""
        assert self._task is None, "an address changed after the first run"
        self.addresses[name] = address
        return name in self._names() and not self.library.says_no("address")

    def execute_async_v3(self, handle: int) -> bool:
        """Put the network on the stream; false, after an error line, if that fails."""
        if self.library.says_no("enqueue"):
            return False
        assert self.nvtx_verbosity is StandinVerbosity.LAYER_NAMES_ONLY, "detailed markers cost time in every enqueue"
        self.library.streams.add(handle)
        try:
            if self._task is None:
                self._task = self._network.bind(self._bindings())
            self._task.enqueue(handle)
        except RuntimeError as error:  # PyTorch's, out of memory among them
            self.library.log_error(f"{type(error).__name__}: {error}")
            return False
        return True

    def set_device_memory(self, address: int, nbytes: int) -> None:
        """Set the scratch memory."""
        assert nbytes >= SCRATCH
        self.scratch = address

    def is_stream_capturable(self, handle: int) -> bool:
        """Whether TensorRT for RTX can capture the network."""
        return self.library.capturable

    def _names(self) -> set[str]:
        return {spec.name for spec in (*self._plan.inputs, *self._plan.outputs)}

    def _bindings(self) -> Bindings:
        assert self.addresses.keys() == self._names()
        assert self.scratch % 512 == 0 and self.scratch, "setDeviceMemory: memory must be aligned on 512 byte boundary"
        inputs, outputs = (
            tuple(Binding(spec.name, self.addresses[spec.name], spec.shape, spec.dtype) for spec in specs)
            for specs in (self._plan.inputs, self._plan.outputs)
        )
        return Bindings(inputs, outputs, Binding("scratch", self.scratch, (SCRATCH,), "uint8"))


class StandinCache:
    """``IRuntimeCache``."""

    content = b""

    def deserialize(self, blob: bytes) -> bool:
        """Take over an earlier cache; false if it is of another version."""
        if not blob.startswith(b"kernels"):
            return False
        self.content = blob
        return True

    def serialize(self) -> bytes:
        """The cache for later starts."""
        return self.content or b"kernels v1"


class StandinConfig:
    """``IRuntimeConfig``."""

    cuda_graph_strategy: StandinEnum
    strategy: StandinEnum
    cache: StandinCache | None = None

    def set_execution_context_allocation_strategy(self, strategy: StandinEnum) -> None:
        """Say who allocates scratch memory."""
        self.strategy = strategy

    def create_runtime_cache(self) -> StandinCache:
        """An empty cache."""
        return StandinCache()

    def set_runtime_cache(self, cache: StandinCache) -> None:
        """Let contexts use ``cache``."""
        self.cache = cache


class StandinEngine(_OfGeneration):
    """``ICudaEngine``."""

    def __init__(self, library: StandinLibrary, plan: StandinPlan, config: StandinConfig) -> None:
        """Bring the network of ``plan`` to the device; raises as ``Runner.load``."""
        self.library = library
        self._plan = plan
        self._config = config
        self._network = library.runner.load(plan)
        found = {spec.name: spec for spec in (*plan.inputs, *plan.outputs)}
        self._specs = {**found, **library.tensors}
        self._contexts: WeakSet[StandinContext] = WeakSet()
        library.runner.made("engine")

    def __del__(self) -> None:
        if not hasattr(self, "_contexts"):
            return  # the network was not loaded
        if self._contexts:
            self.library.runner.misused("an engine went before its contexts")
        self.library.runner.destroyed("engine")

    @property
    def num_io_tensors(self) -> int:
        """Number of inputs and outputs."""
        return len(self._specs)

    def get_tensor_name(self, index: int) -> str:
        """Name of an input or output."""
        return list(self._specs)[index]

    def get_tensor_dtype(self, name: str) -> object:
        """Its ``DataType``."""
        return SimpleNamespace(name=_DTYPE_NAMES[self._specs[name].dtype])

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Its shape."""
        return self._specs[name].shape

    def get_tensor_mode(self, name: str) -> object:
        """Its ``TensorIOMode``."""
        return MODES.INPUT if name in {spec.name for spec in self._plan.inputs} else MODES.OUTPUT

    @property
    def device_memory_size(self) -> int:
        """Size of the scratch memory in bytes."""
        return SCRATCH

    @property
    def device_memory_size_v2(self) -> int:
        """Size of the scratch memory in bytes, of a wider type."""
        return SCRATCH

    def create_runtime_config(self) -> StandinConfig:
        """Options of contexts of TensorRT for RTX."""
        return self._config

    def create_execution_context_without_device_memory(self) -> StandinContext | None:
        """A context whose scratch memory the caller allocates; None, after an error line, if that fails."""
        return self._new_context()

    def create_execution_context(
        self, strategy: StandinEnum | None = None, runtime_config: StandinConfig | None = None
    ) -> StandinContext | None:
        """A context in later generations; None, after an error line, if that fails."""
        chosen = strategy if runtime_config is None else runtime_config.strategy
        assert chosen is not None
        assert chosen.name == "USER_MANAGED"
        return self._new_context()

    def _new_context(self) -> StandinContext | None:
        if self.library.says_no("context"):
            return None
        context = StandinContext(self.library, self._plan, self._network)
        self._contexts.add(context)
        return context
