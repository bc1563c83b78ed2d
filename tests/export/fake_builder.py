"""An imitation of the part of TensorRT that builds plans. It builds none, and records its settings."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

#: Types of layers that compute, and of layers that only move data.
_COMPUTING = ("CONVOLUTION", "MATRIX_MULTIPLY", "GRID_SAMPLE", "ELEMENTWISE", "RESIZE", "SELECT")
_MOVING = ("CONSTANT", "SHUFFLE", "SLICE", "CONCATENATION", "GATHER", "PADDING", "IDENTITY", "CAST")

#: Names of the module and versions, by generation.
_MODULES = {"8.6": ("tensorrt", "8.6.1"), "10": ("tensorrt", "10.9"), "rtx": ("tensorrt_rtx", "1.7.1")}


class FakeLayer:
    """``ILayer`` of one output; also an ``IGridSampleLayer`` that samples as the network wants."""

    interpolation_mode, align_corners, sample_mode = "linear", True, "clamp"
    num_outputs, metadata = 1, ""

    def __init__(self, kind: str, name: str, output: str, dtype: str = "float") -> None:
        self.type, self.name, self.output, self.dtype = kind, name, output, dtype
        self._precision: object = None
        self.types: dict[int, object] = {}

    @property
    def precision(self) -> object:
        """As in TensorRT, float32 until it is set."""
        return "float" if self._precision is None else self._precision

    @precision.setter
    def precision(self, kind: object) -> None:
        self._precision = kind

    @property
    def precision_is_set(self) -> bool:
        return self._precision is not None

    def get_output(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(name=self.output, dtype=self.dtype)

    def get_input(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(name="", dtype="float")

    def set_output_type(self, index: int, kind: object) -> None:
        self.types[index] = kind

    def reset_precision(self) -> None:
        self._precision = None

    def reset_output_type(self, index: int) -> None:
        del self.types[index]

    @property
    def pinned(self) -> bool:
        """Whether the layer was given any type."""
        return self.precision_is_set or bool(self.types)


class FakeConfig:
    """``IBuilderConfig``: TF32 is on, as in TensorRT."""

    num_compute_capabilities = 0
    builder_optimization_level = 3

    def __init__(self) -> None:
        self.flags = {"TF32"}
        self.capabilities: dict[int, str] = {}

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def set_compute_capability(self, capability: str, index: int) -> bool:
        assert index < self.num_compute_capabilities
        self.capabilities[index] = capability
        return capability != "SM75"


class FakeBuilders:
    """A generation of TensorRT, as ``module``.

    Attributes:
        layers: what every graph is parsed into.
        failures: error lines of the next builds, which fail.
        builds: the flags of every build so far.
        configs: every configuration so far.
        loggers: every logger that was handed over so far.
    """

    def __init__(self, generation: str, layers: Sequence[FakeLayer] = ()) -> None:
        self.layers, self.failures = list(layers), list[str]()
        self.builds, self.configs = list[set[str]](), list[FakeConfig]()
        self.loggers: list[Any] = []
        self.module = self._make_module(generation)

    def _make_module(self, generation: str) -> Any:
        library = self

        class ILogger:
            INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        class Builder:
            def __init__(self, logger: Any) -> None:
                library.loggers.append(logger)

            def create_network(self, flags: int) -> SimpleNamespace:
                return SimpleNamespace(num_layers=len(library.layers), get_layer=library.layers.__getitem__)

            def create_builder_config(self) -> FakeConfig:
                library.configs.append(FakeConfig())
                return library.configs[-1]

            def build_serialized_network(self, network: object, config: FakeConfig) -> bytes | None:
                library.builds.append(set(config.flags))
                if library.failures:
                    library.loggers[-1].log(ILogger.ERROR, library.failures.pop(0))
                    return None
                return b"plan"

        class OnnxParser:
            def __init__(self, network: object, logger: Any) -> None:
                library.loggers.append(logger)

            def parse(self, graph: bytes) -> bool:
                return True

        class Runtime:
            def __init__(self, logger: Any) -> None:
                library.loggers.append(logger)

            def deserialize_cuda_engine(self, plan: bytes) -> None:
                return None

        flags = ["TF32", "FP16", "OBEY_PRECISION_CONSTRAINTS", "PREFER_PRECISION_CONSTRAINTS"]
        typed = {} if generation == "8.6" else {"STRONGLY_TYPED": 1}
        name, version = _MODULES[generation]
        return _Module(
            __name__=name,
            __version__=version,
            ILogger=ILogger,
            Builder=Builder,
            OnnxParser=OnnxParser,
            Runtime=Runtime,
            NetworkDefinitionCreationFlag=SimpleNamespace(EXPLICIT_BATCH=0, **typed),
            BuilderFlag=SimpleNamespace(**{flag: flag for flag in flags}),
            ComputeCapability=SimpleNamespace(**{one: one for one in ("CURRENT", "SM75", "SM86", "SM89", "SM120")}),
            LayerType=SimpleNamespace(**{kind: kind for kind in (*_COMPUTING, *_MOVING)}),
            InterpolationMode=SimpleNamespace(LINEAR="linear"),
            SampleMode=SimpleNamespace(CLAMP="clamp"),
            IGridSampleLayer=FakeLayer,
            float16="half",
            float32="float",
        )


class _Module(SimpleNamespace):
    """A module that can be a key."""

    __hash__ = object.__hash__
