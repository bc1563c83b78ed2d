"""Modules like ``tensorrt`` and ``tensorrt_rtx``, in the generations that differ, with the part that mostnet uses.

Their plans are those of ``mostnet.bench.gpu.standin.plan``, and a *runner* computes them. They time no kernel of
TensorRT, and build and inspect nothing.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from mostnet.contract import MostnetError

from .execution import MODES, StandinConfig, StandinEngine, enumeration
from .library import GENERATIONS, VERSIONS, StandinLibrary
from .plan import StandinPlan
from .runner import Runner


class StandinModule(ModuleType):
    """A module with the given attributes.

    Attributes:
        gpu: the miniature GPU that it runs on once it is installed; None on a real one.
    """

    gpu: Any = None

    def __init__(self, name: str, **attributes: object) -> None:
        super().__init__(name)
        self.__dict__.update(attributes)


class StandinTensorRt(StandinLibrary):
    """One generation, and its module.

    Attributes:
        config: the options of all contexts of TensorRT for RTX.
        module: the module that ``import`` gives.
    """

    def __init__(self, runner: Runner, generation: str) -> None:
        super().__init__(runner, generation)
        self.config = StandinConfig()
        self.module = self._make_module()

    def _make_module(self) -> StandinModule:
        library = self

        class ILogger:
            INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        class Runtime:
            def __init__(self, logger: ILogger) -> None:
                library.logger = logger

            def deserialize_cuda_engine(self, data: bytes) -> StandinEngine | None:
                assert isinstance(data, bytes)
                return library._deserialise(data)

        later: dict[str, object] = {}
        if self.generation != "8.6":
            later["ExecutionContextAllocationStrategy"] = enumeration("STATIC", "ON_PROFILE_CHANGE", "USER_MANAGED")
        if self.generation == "rtx":
            later["CudaGraphStrategy"] = enumeration("DISABLED", "WHOLE_GRAPH_CAPTURE")
        return StandinModule(
            GENERATIONS[self.generation],
            __version__=VERSIONS[self.generation],
            ILogger=ILogger,
            Runtime=Runtime,
            TensorIOMode=MODES,
            ComputeCapability=enumeration("SM86", "SM89"),
            **later,
        )

    def _deserialise(self, data: bytes) -> StandinEngine | None:
        if self.says_no("deserialise"):
            return None
        try:
            return StandinEngine(self, StandinPlan.from_bytes(data), self.config)
        except (MostnetError, RuntimeError) as error:
            self.log_error(str(error))
            return None
