"""Ask TensorRT's engine inspector which layers a plan runs. This needs a GPU that the plan fits."""

from __future__ import annotations

from typing import Any

from mostnet.contract import ExportError, InspectionError, NoGpuError
from mostnet.engine.cuda.driver import gpu_architecture
from mostnet.engine.tensorrt.library import says_no_memory
from mostnet.engine.tensorrt.log import tensorrt_logger

from .layers import PlanLayer, parse_layers


def inspect_plan(trt: Any, plan: bytes, *, targets: tuple[str, ...] = ()) -> tuple[PlanLayer, ...]:
    """The layers of a plan that was built with detailed profiling verbosity.

    Args:
        trt: the library that built it.
        plan: the serialised plan.
        targets: GPU architectures that it was built for, such as ``sm_86``; empty for the GPU of this machine.

    Raises:
        InspectionError: no GPU fits the plan, or TensorRT refuses the plan or reports no types; says what is needed.
        ExportError: TensorRT refuses the plan, which it built for the GPU of this machine.
    """
    _require_target(targets)
    logger = tensorrt_logger(trt)
    logger.take_errors()  # forget the errors of the build
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        errors = logger.take_errors()
        if not targets and not says_no_memory(errors):
            raise ExportError(
                f"{trt.__name__} {trt.__version__} built a plan for the GPU of this machine, and refuses to run it: "
                f"{errors}; build with another version or flavour of TensorRT, or export the graph alone (--onnx-only)"
            )
        raise InspectionError(f"{trt.__name__} {trt.__version__} refuses the plan: {errors}")
    if not (hasattr(engine, "create_engine_inspector") and hasattr(trt, "LayerInformationFormat")):
        raise InspectionError(
            f"{trt.__name__} {trt.__version__} has no engine inspector; TensorRT 8.2 or later has one"
        )
    try:
        return _read_layers(trt, engine)
    except (RuntimeError, ValueError) as error:
        raise InspectionError(f"the engine inspector of {trt.__name__} {trt.__version__} failed: {error}") from error


def _require_target(targets: tuple[str, ...]) -> None:
    needs = (
        "inspecting the plan needs a GPU that it was built for "
        f"({', '.join(targets) or 'the GPU of the machine that built it'})"
    )
    try:
        architecture = gpu_architecture()
    except NoGpuError as error:
        raise InspectionError(f"{error}; {needs}") from error
    if targets and architecture not in targets:
        raise InspectionError(f"the GPU of this machine is {architecture}; {needs}")


def _read_layers(trt: Any, engine: Any) -> tuple[PlanLayer, ...]:
    inspector = engine.create_engine_inspector()
    form = trt.LayerInformationFormat.JSON
    layers = parse_layers(inspector.get_engine_information(form))
    if not any(layer.typed for layer in layers):
        # Some versions choose or compile layers for a context, and know their types only then.
        context = engine.create_execution_context()
        if context is not None:
            inspector.execution_context = context
            layers = parse_layers(inspector.get_engine_information(form))
    if not any(layer.typed for layer in layers):
        raise InspectionError(
            f"{trt.__name__} {trt.__version__} reports the names of {len(layers)} layers but no types; "
            "build the plan with ProfilingVerbosity.DETAILED, as mostnet-export does"
        )
    return layers
