"""ONNX graph -> serialised TensorRT plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mostnet.contract import ExportError, write_bytes
from mostnet.engine.tensorrt.log import tensorrt_logger

from .flavour import Toolchain, network_flags, set_targets, strongly_typed
from .network import check_network
from .pinning import pin_types, prefer_types
from .request import PlanRequest

#: Called with a phase's name, its steps done, its number of steps, and the seconds since the build began.
BuildProgress = Callable[[str, int, int, float], None]

#: In TensorRT's errors if no kernel has the pinned types of a layer: "Could not find any implementation for node ...".
_NO_IMPLEMENTATION = "implementation"

_LOOSE = (
    "{name} has no implementation that keeps the type of every layer ({errors}); the plan was built again, and may run "
    "layers without one in another type"
)


@dataclass(frozen=True)
class BuiltPlan:
    """A serialised plan.

    Attributes:
        data: the bytes that TensorRT deserialises.
        notes: lines on a plan that is not quite the requested one.
    """

    data: bytes
    notes: tuple[str, ...] = ()


def build_plan(
    toolchain: Toolchain,
    graph: bytes,
    request: PlanRequest,
    *,
    timing_cache: Path | None = None,
    optimization_level: int | None = None,
    progress: BuildProgress | None = None,
) -> BuiltPlan:
    """Parse, check and build a graph.

    Args:
        graph: a serialised ONNX model.
        request: what the network must be.
        timing_cache: file of measured tactics that classic TensorRT reads and adds to.
        optimization_level: from 0, the fastest build, to 5, the longest search; None for TensorRT's default.
        progress: called for every step of the build.

    Raises:
        ExportError: TensorRT refuses the graph, parses it into something other than requested, or cannot build it.
        NoGpuError: the plan is for the GPU of this machine, and there is none.
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
    _require_types(toolchain, request)
    config, moved = _configure(toolchain, builder, network, request)
    if optimization_level is not None:
        config.builder_optimization_level = optimization_level
    cache = _load_timing_cache(config, timing_cache)
    monitor = _make_monitor(trt, progress)
    if monitor is not None:
        config.progress_monitor = monitor
    plan, notes = builder.build_serialized_network(network, config), list[str]()
    errors = "" if plan is not None else logger.take_errors()
    if plan is None and _is_pinned(trt, request) and _NO_IMPLEMENTATION in errors.lower():
        notes.append(f"WARNING: {_LOOSE.format(name=toolchain.name, errors=errors)}")
        prefer_types(trt, config, moved)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            errors = f"{errors}; with the types as preferences: {logger.take_errors()}"
    if monitor is not None and monitor.error is not None:
        raise monitor.error
    if plan is None:
        raise ExportError(f"{toolchain.name} could not build the plan: {errors}")
    if cache is not None and timing_cache is not None:
        write_bytes(timing_cache, bytes(config.get_timing_cache().serialize()))
    return BuiltPlan(bytes(plan), tuple(notes))


def _require_types(toolchain: Toolchain, request: PlanRequest) -> None:
    if (request.int8 or request.kept) and not strongly_typed(toolchain.trt):
        raise ExportError(
            f"{toolchain.name} has no strongly typed networks, so it may change the types of an INT8 graph or of extra "
            "float32 nodes; use TensorRT 10 or later or TensorRT for RTX, or export plain --fp16"
        )


def _is_pinned(trt: Any, request: PlanRequest) -> bool:
    return request.floats == "fp16" and not strongly_typed(trt)


def _configure(toolchain: Toolchain, builder: Any, network: Any, request: PlanRequest) -> tuple[Any, list[Any]]:
    """The builder's configuration, and the layers that only move data and were given a type."""
    trt = toolchain.trt
    moved: list[Any] = []
    config = builder.create_builder_config()
    set_targets(toolchain, config)
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and float32 is promised
    if _is_pinned(trt, request):
        moved = pin_types(trt, network, config, request.tensor_types)
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)  # without it no CUDA graph can capture the stream
    if hasattr(trt, "ProfilingVerbosity"):
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # without it the inspector reports only names
    return config, moved


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
