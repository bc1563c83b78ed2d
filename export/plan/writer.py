"""Build the plan of a graph, and put it in place with its description and the report on its layers."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from mostnet.contract import InspectionError, Metadata, PlanInfo, sha256, staging_folder
from mostnet.engine.cuda.driver import gpu_architecture
from mostnet.export.publish import publish

from .builder import BuildProgress, build_plan
from .flavour import Toolchain
from .inspector import inspect_plan
from .layers import match_convolutions, narrowed_layers
from .report import report_json, summary
from .request import PlanRequest


def write_plan(
    toolchain: Toolchain,
    graph: Path,
    request: PlanRequest,
    *,
    name: str | None = None,
    timing_cache: Path | None = None,
    optimization_level: int | None = None,
    progress: BuildProgress | None = None,
) -> list[str]:
    """Build the plan of ``graph``, ``NAME.onnx``, and put it beside the graph as ``NAME.plan``.

    ``NAME.plan.json`` describes the plan. ``NAME.layers.json`` has the type in which each convolution runs, which
    TensorRT reports only on a GPU that the plan fits. All files are put in place together, or none is.

    Args:
        name: name of the plan's file, if it is not to be called after the graph.
        timing_cache, optimization_level, progress: as ``build_plan`` takes them.

    Returns:
        Lines to print: a warning if the plan may leave requested types, then the types in which the layers run, or why
        these are unknown.

    Raises:
        ExportError, NoGpuError: as ``build_plan``, or this machine cannot run the plan that was built for it, or a
            folder has the name of a file.
    """
    with staging_folder(graph.parent) as folder:
        plan = folder / (name or f"{graph.stem}.plan")
        built = build_plan(
            toolchain,
            graph.read_bytes(),
            request,
            timing_cache=timing_cache,
            optimization_level=optimization_level,
            progress=progress,
        )
        plan.write_bytes(built.data)
        if request.metadata is not None:
            info = _describe(toolchain, request.metadata, sha256(plan))
            plan.with_name(f"{plan.name}.json").write_text(info.to_json(), encoding="utf-8")
        lines = _write_layers(toolchain, plan, request)
        publish(plan.parent, graph.parent)
    return [*built.notes, *lines]


def _describe(toolchain: Toolchain, metadata: Metadata, plan_sha256: str) -> PlanInfo:
    trt = toolchain.trt
    values = {field.name: getattr(metadata, field.name) for field in fields(metadata)}
    return PlanInfo(
        **{**values, "tools": {**metadata.tools, trt.__name__: trt.__version__}},
        plan_sha256=plan_sha256,
        flavour=toolchain.flavour,
        tensorrt_version=trt.__version__,
        targets=toolchain.targets or (gpu_architecture(),),
    )


def _write_layers(toolchain: Toolchain, plan: Path, request: PlanRequest) -> list[str]:
    if not request.convolutions:
        return []
    try:
        layers = inspect_plan(toolchain.trt, plan.read_bytes(), targets=toolchain.targets)
    except InspectionError as error:
        return [f"the types of its convolutions are unknown: {error}"]
    found, narrowed = match_convolutions(layers, request.convolutions), narrowed_layers(layers, request.wide)
    text = report_json(layers, found, narrowed, plan_sha256=sha256(plan), tensorrt=toolchain.name)
    plan.with_suffix(".layers.json").write_text(text, encoding="utf-8")
    return summary(found, narrowed)
