"""ONNX -> TensorRT plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx

from mostnet.contract import ExportError, write_bytes
from mostnet.engine.tensorrt.log import tensorrt_logger

from .flavour import network_flags, strongly_typed
from .inspection import check_network

#: Called with a phase's name, its steps done, its number of steps, and the seconds since the build began.
Progress = Callable[[str, int, int, float], None]


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        targets: GPU architectures as ``sm_86``; empty for the GPU of this machine.
        precision: what the graph's float convolutions are to be, ``fp32`` or ``fp16``.
        islands: module paths that may compute in float32 in an ``fp16`` graph.
        kept: names of further nodes that may, because half precision does not hold their tensors.
        int8: module paths of the convolutions that are to be INT8.
        timing_cache: file that classic TensorRT reads measured tactics from and adds to.
        progress: told of every step of the build.
    """

    targets: tuple[str, ...]
    precision: str
    islands: tuple[str, ...]
    kept: tuple[str, ...] = ()
    int8: tuple[str, ...] = ()
    timing_cache: Path | None = None
    progress: Progress | None = None


def build_plan(trt: ModuleType, model: onnx.ModelProto, options: BuildOptions) -> bytes:
    """Parse, check and build a graph.

    Raises:
        ExportError: TensorRT refuses the graph, the parsed network is not what was asked for, or the build fails.
    """
    logger = tensorrt_logger(trt)
    logger.take_errors()  # those of an earlier build are not this one's
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model.SerializeToString()):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ExportError(f"{trt.__name__} {trt.__version__} cannot parse the graph: {errors}")
    check_network(
        trt, network, precision=options.precision, islands=options.islands, kept=options.kept, int8=options.int8
    )
    if (options.int8 or options.kept) and not strongly_typed(trt):
        raise ExportError(
            f"{trt.__name__} {trt.__version__} is not strongly typed, so an INT8 graph, or one with float32 nodes "
            "of its own, cannot be built as it is; use TensorRT 10 or later or TensorRT for RTX, or export plain --fp16"
        )
    config = builder.create_builder_config()
    _set_targets(trt, config, options.targets)
    if options.precision == "fp16" and not strongly_typed(trt):
        pin_types(trt, network, config, model)
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)  # else the stream cannot be captured in a CUDA graph
    if hasattr(trt, "ProfilingVerbosity"):
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else an inspector is told names alone
    cache = _load_timing_cache(config, options.timing_cache)
    monitor = _make_monitor(trt, options.progress)
    if monitor is not None:
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if monitor is not None and monitor.error is not None:
        raise monitor.error
    if plan is None:
        raise ExportError(f"{trt.__name__} {trt.__version__} could not build the plan: {logger.take_errors()}")
    if cache is not None and options.timing_cache is not None:
        write_bytes(options.timing_cache, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _make_monitor(trt: ModuleType, progress: Progress | None) -> Any:
    """An ``IProgressMonitor`` (TensorRT 8.6 has none) that reports each phase's steps."""
    if progress is None or not hasattr(trt, "IProgressMonitor"):
        return None
    report: Progress = progress
    started = time.perf_counter()

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.error: BaseException | None = None  # TensorRT swallows what its callbacks raise

        def tell(self, phase: str, done: int) -> bool:
            try:
                report(phase, done, self.steps[phase], time.perf_counter() - started)
            except BaseException as error:  # raised again when the build has come to its end
                self.error = error
            return self.error is None

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            self.tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return self.tell(phase_name, step + 1)

        def phase_finish(self, phase_name: str) -> None:
            self.tell(phase_name, self.steps[phase_name])
            del self.steps[phase_name]

    return Monitor()


def _set_targets(trt: ModuleType, config: Any, targets: tuple[str, ...]) -> None:
    if not targets:
        return
    config.num_compute_capabilities = len(targets)
    for i, target in enumerate(targets):
        config.set_compute_capability(getattr(trt.ComputeCapability, target.replace("sm_", "SM")), i)


def pin_types(trt: ModuleType, network: Any, config: Any, model: onnx.ModelProto) -> None:
    """TensorRT 8.6: give every layer the precision of its ONNX tensors, or its float32 islands are not kept.

    Raises:
        ExportError: a convolution or matrix product could not be pinned to float16, or a sampling to float32.
    """
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    kinds = {onnx.TensorProto.FLOAT: trt.float32, onnx.TensorProto.FLOAT16: trt.float16}
    wanted = {
        value.name: kinds[value.type.tensor_type.elem_type]
        for value in (*inferred.value_info, *inferred.output)
        if value.type.tensor_type.elem_type in kinds
    }
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        types = [wanted.get(layer.get_output(j).name) for j in range(layer.num_outputs)]
        if any(types):
            layer.precision = next(kind for kind in types if kind is not None)
        for j, kind in enumerate(types):
            if kind is not None:
                layer.set_output_type(j, kind)
    must = {
        trt.LayerType.CONVOLUTION: trt.float16,
        trt.LayerType.MATRIX_MULTIPLY: trt.float16,
        trt.LayerType.GRID_SAMPLE: trt.float32,
    }
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    wrong = [layer.name for layer in layers if layer.type in must and layer.precision != must[layer.type]]
    if wrong:
        raise ExportError(f"{trt.__name__} {trt.__version__}: precision could not be pinned for {', '.join(wrong[:5])}")


def _load_timing_cache(config: Any, path: Path | None) -> Any:
    if path is None:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        raise ExportError(f"{path}: not a timing cache of this TensorRT and GPU; delete it, or name another file")
    return cache
