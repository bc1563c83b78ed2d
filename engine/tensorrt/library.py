"""One flavour of TensorRT: loads the library and deserialises plans; tests for features where versions differ."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from mostnet.contract import BackendNotInstalledError, DeviceError, PlanMismatchError, TensorSpec
from mostnet.engine.cuda.device import CudaDevice

from .cache import RuntimeCache
from .log import tensorrt_logger

#: Importable package of each flavour of TensorRT; the pip extra has the name of the flavour.
MODULES = {"rtx": "tensorrt_rtx", "tensorrt": "tensorrt"}

_DTYPES = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT8": "int8", "BOOL": "bool"}

#: Spellings of "out of memory" in TensorRT's error lines.
_NO_MEMORY = ("outofmemory", "out of memory", "cudaerrormemoryallocation")


def load_library(name: str) -> Any:
    """Import ``tensorrt`` or ``tensorrt_rtx``.

    Raises:
        BackendNotInstalledError: it is installed but does not load; says why.
    """
    try:
        return import_module(name)
    except (ImportError, OSError) as error:
        raise BackendNotInstalledError(f"{name} is installed but does not load: {error}") from error


def rtx_architectures(trt: Any) -> tuple[str, ...]:
    """The GPU architectures, such as ``sm_86``, for which this TensorRT for RTX builds plans and on which it runs them.

    On an H200, which is sm_90, version 1.7.1 builds a plan and then refuses to run it.
    """
    numbers = sorted(int(name[2:]) for name in vars(trt.ComputeCapability) if name.startswith("SM"))
    return tuple(f"sm_{number}" for number in numbers)


class TensorRtEngine:
    """A deserialised plan, with its weights on the device until its last user releases it.

    Used inside ``with device:`` only.
    """

    def __init__(self, trt: Any, device: CudaDevice, path: Path, *, graphs: bool, cache: Path | None, rebuild: str):
        """Deserialise ``path``, which was checked to fit this machine.

        Args:
            trt: the library.
            device: the device for the weights.
            path: the plan; errors name it.
            graphs: let TensorRT for RTX capture CUDA graphs.
            cache: file for the kernels that TensorRT for RTX compiles at first use.
            rebuild: advice for the error if TensorRT refuses the plan.

        Raises:
            PlanMismatchError: TensorRT refuses the plan nevertheless; quotes TensorRT.
            DeviceMemoryError: the weights do not fit.
        """
        self._trt = trt
        self._device = device
        self.log = tensorrt_logger(trt)
        self._users = 1
        self._config: Any = None
        self.cache: RuntimeCache | None = None
        self._runtime = trt.Runtime(self.log)
        self.log.take_errors()  # forget the errors of a build: a good one logs kernels that do not fit in memory
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            errors = self.log.take_errors()
            if says_no_memory(errors):
                raise device.failure(f"{path}: no GPU memory for the weights: {errors}", memory=True)
            raise PlanMismatchError(f"{path}: {trt.__name__} {trt.__version__} refuses the plan: {errors}; {rebuild}")
        try:
            if self.captures_itself:
                self._configure(graphs, cache)
        except BaseException:
            self.release()
            raise

    @property
    def captures_itself(self) -> bool:
        """True for TensorRT for RTX, which makes its own CUDA graphs."""
        return hasattr(self._trt, "CudaGraphStrategy")

    @property
    def scratch_bytes(self) -> int:
        """Size of the scratch memory of one enqueue."""
        engine = self._engine
        # TensorRT 10.1 added the first with a wider type, and 11 dropped the second.
        name = "device_memory_size_v2" if hasattr(engine, "device_memory_size_v2") else "device_memory_size"
        return int(getattr(engine, name))

    def specs(self) -> tuple[set[TensorSpec], set[TensorSpec]]:
        """Inputs and outputs of the plan."""
        found: dict[Any, set[TensorSpec]] = {mode: set() for mode in (self._mode("INPUT"), self._mode("OUTPUT"))}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            dtype = self._engine.get_tensor_dtype(name).name
            shape = tuple(int(side) for side in self._engine.get_tensor_shape(name))
            found[self._engine.get_tensor_mode(name)].add(TensorSpec(name, shape, _DTYPES.get(dtype, dtype)))
        return found[self._mode("INPUT")], found[self._mode("OUTPUT")]

    def new_context(self, scratch_address: int, addresses: dict[str, int]) -> Any:
        """An execution context bound to ``addresses``, with its scratch memory at ``scratch_address``.

        Raises:
            DeviceError, DeviceMemoryError: TensorRT makes no context, or refuses an address; quotes TensorRT.
        """
        context = self._make_context()
        if context is None:
            raise self.failure("TensorRT makes no execution context")
        if hasattr(context, "set_device_memory"):
            context.set_device_memory(scratch_address, self.scratch_bytes)
        else:
            context.device_memory = scratch_address
        for name, address in addresses.items():
            if not context.set_tensor_address(name, address):
                raise self.failure(f"TensorRT refuses the address of {name}")
        return context

    def failure(self, what: str) -> DeviceError:
        """The exception for ``what``, with the error lines that TensorRT logged."""
        errors = self.log.take_errors()
        return self._device.failure(f"{what}: {errors}", memory=says_no_memory(errors))

    def retain(self) -> None:
        """Add a user. The opener of the plan is the first."""
        self._users += 1

    def release(self) -> None:
        """Remove a user, whose contexts must be destroyed by then. The last one destroys the plan, then the runtime."""
        self._users -= 1
        if self._users == 0:
            self._config = self.cache = None
            self._engine = None
            self._runtime = None

    def _mode(self, name: str) -> Any:
        return getattr(self._trt.TensorIOMode, name)

    def _configure(self, graphs: bool, cache: Path | None) -> None:
        strategies = self._trt.CudaGraphStrategy
        self._config = self._engine.create_runtime_config()
        self._config.set_execution_context_allocation_strategy(
            self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        self._config.cuda_graph_strategy = strategies.WHOLE_GRAPH_CAPTURE if graphs else strategies.DISABLED
        if cache is not None:
            self.cache = RuntimeCache(self._config, cache)

    def _make_context(self) -> Any:
        if self._config is not None:
            return self._engine.create_execution_context(runtime_config=self._config)
        if hasattr(self._trt, "ExecutionContextAllocationStrategy"):
            return self._engine.create_execution_context(self._trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        return self._engine.create_execution_context_without_device_memory()


def says_no_memory(errors: str) -> bool:
    """Whether error lines of TensorRT tell of too little memory."""
    return any(words in errors.lower() for words in _NO_MEMORY)
