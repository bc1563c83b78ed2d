"""ONNX graph -> serialised TensorRT plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mostnet.contract import ExportError, write_bytes
from mostnet.engine.tensorrt.log import tensorrt_logger

from .flavour import Toolchain, network_flags, strongly_typed
from .network import check_network
from .request import PlanRequest

#: Called with a phase's name, its steps done, its number of steps, and the seconds since the build began.
BuildProgress = Callable[[str, int, int, float], None]


def build_plan(
    toolchain: Toolchain,
    graph: bytes,
    request: PlanRequest,
    *,
    timing_cache: Path | None = None,
    progress: BuildProgress | None = None,
) -> bytes:
    """Parse, check and build a graph.

    Args:
        graph: a serialised ONNX model.
        request: what the network must be.
        timing_cache: file of measured tactics that classic TensorRT reads and adds to.
        progress: called for every step of the build.

    Raises:
        ExportError: TensorRT refuses the graph, parses it into something other than requested, or cannot build it.
    """
    trt = toolchain.trt
    logger = tensorrt_logger(trt)
    logger.take_errors()  # forget the errors of an earlier build
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags(trt))
    parser = trt.OnnxParser(network, logger)  # owns the weights, so it must outlive the build
    if not parser.parse(graph):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ExportError(f"{toolchain.name} cannot parse the graph: {errors}")
    check_network(trt, network, request)
    if (request.int8 or request.kept) and not strongly_typed(trt):
        raise ExportError(
            f"{toolchain.name} has no strongly typed networks, so it may change the types of an INT8 graph or of extra "
            "float32 nodes; use TensorRT 10 or later or TensorRT for RTX, or export plain --fp16"
        )
    config = _configure(toolchain, builder, network, request)
    cache = _load_timing_cache(config, timing_cache)
    monitor = _make_monitor(trt, progress)
    if monitor is not None:
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if monitor is not None and monitor.error is not None:
        raise monitor.error
    if plan is None:
        raise ExportError(f"{toolchain.name} could not build the plan: {logger.take_errors()}")
    if cache is not None and timing_cache is not None:
        write_bytes(timing_cache, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _configure(toolchain: Toolchain, builder: Any, network: Any, request: PlanRequest) -> Any:
    trt = toolchain.trt
    config = builder.create_builder_config()
    if toolchain.targets:
        config.num_compute_capabilities = len(toolchain.targets)
        for i, target in enumerate(toolchain.targets):
            config.set_compute_capability(getattr(trt.ComputeCapability, target.replace("sm_", "SM")), i)
    if request.floats == "fp16" and not strongly_typed(trt):
        pin_types(trt, network, config, request.tensor_types)
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)  # without it no CUDA graph can capture the stream
    if hasattr(trt, "ProfilingVerbosity"):
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # without it the inspector reports only names
    return config


def pin_types(trt: Any, network: Any, config: Any, tensor_types: Mapping[str, str]) -> None:
    """Give every layer the precision of its ONNX tensors: TensorRT 8.6 keeps no float32 island by itself.

    Raises:
        ExportError: a convolution or matrix product could not be pinned to float16, or a sampling to float32.
    """
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    kinds = {"FLOAT": trt.float32, "HALF": trt.float16}
    wanted = {name: kinds[kind] for name, kind in tensor_types.items()}
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    for layer in layers:
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


def _make_monitor(trt: Any, progress: BuildProgress | None) -> Any:
    """An ``IProgressMonitor`` that reports each phase's steps; None for TensorRT 8.6, which has none."""
    if progress is None or not hasattr(trt, "IProgressMonitor"):
        return None
    report: BuildProgress = progress
    started = time.perf_counter()

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.error: BaseException | None = None  # TensorRT swallows exceptions of its callbacks

        def report_step(self, phase: str, done: int) -> bool:
            try:
                report(phase, done, self.steps[phase], time.perf_counter() - started)
            except BaseException as error:  # raised again when the build has ended
                self.error = error
            return self.error is None

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            self.report_step(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return self.report_step(phase_name, step + 1)

        def phase_finish(self, phase_name: str) -> None:
            self.report_step(phase_name, self.steps[phase_name])
            del self.steps[phase_name]

    return Monitor()
