"""Precision constraints for TensorRT 8.6, and the build where no implementation keeps them."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

from mostnet.contract import ExportError
from mostnet.export.plan import writer
from mostnet.export.plan.builder import BuiltPlan, build_plan
from mostnet.export.plan.flavour import Toolchain
from mostnet.export.plan.layers import PlanLayer
from mostnet.export.plan.request import PlanRequest, tensor_types
from mostnet.export.plan.writer import write_plan

from .fake_builder import FakeBuilders, FakeLayer

#: An ONNX operator for each layer type of TensorRT that the graph of a network has.
OPERATORS = {
    "CONVOLUTION": "Conv",
    "MATRIX_MULTIPLY": "MatMul",
    "GRID_SAMPLE": "GridSample",
    "ELEMENTWISE": "Mul",
    "RESIZE": "Resize",
    "SELECT": "Where",
    "SHUFFLE": "Reshape",
    "SLICE": "Slice",
    "CONCATENATION": "Concat",
    "GATHER": "Gather",
    "PADDING": "Pad",
    "CAST": "Cast",
}
MOVERS = ("SHUFFLE", "SLICE", "CONCATENATION", "GATHER", "PADDING")
UNTYPED = ("CAST", "CONSTANT", "IDENTITY")
NO_FIT = "Could not find any implementation for node x"


@pytest.fixture
def layers(half: onnx.ModelProto) -> dict[str, FakeLayer]:
    """A layer of each type, with the names of a node and of its output; and a constant and an identity."""
    types = tensor_types(half)
    nodes = {node.op_type: node for node in half.graph.node if node.output[0] in types}
    found = {kind: FakeLayer(kind, nodes[op].name, nodes[op].output[0]) for kind, op in OPERATORS.items()}
    extra = {kind: FakeLayer(kind, f"another {kind}", nodes["Mul"].output[0]) for kind in ("CONSTANT", "IDENTITY")}
    return found | extra


@pytest.fixture
def request_of_half(half: onnx.ModelProto) -> PlanRequest:
    return PlanRequest.of(half, metadata=None, floats="fp16", islands=())


def build(library: FakeBuilders, request: PlanRequest) -> BuiltPlan:
    return build_plan(Toolchain(library.module, "tensorrt"), b"graph", request)


def test_layers_that_compute_get_the_types_of_the_graph(
    layers: dict[str, FakeLayer], half: onnx.ModelProto, request_of_half: PlanRequest
) -> None:
    library = FakeBuilders("8.6", list(layers.values()))
    assert build(library, request_of_half) == BuiltPlan(b"plan")
    assert library.builds == [{"FP16", "OBEY_PRECISION_CONSTRAINTS"}]
    names, types = {"HALF": "half", "FLOAT": "float"}, tensor_types(half)
    for kind in OPERATORS.keys() - {*MOVERS, *UNTYPED}:
        wanted = names[types[layers[kind].output]]
        assert (layers[kind].precision, layers[kind].types) == (wanted, {0: wanted}), kind
    assert [layers[kind].precision for kind in ("CONVOLUTION", "MATRIX_MULTIPLY", "GRID_SAMPLE")] == [
        "half",
        "half",
        "float",
    ]


def movers(half: onnx.ModelProto, kind: str) -> list[FakeLayer]:
    """A layer of each type that only moves data, whose output is a tensor of this ONNX type."""
    name = next(name for name, found in tensor_types(half).items() if found == kind)
    return [FakeLayer(mover, f"{mover} of {kind}", name) for mover in MOVERS]


def test_layers_that_move_float32_are_pinned_and_others_are_left_free(
    layers: dict[str, FakeLayer], half: onnx.ModelProto, request_of_half: PlanRequest
) -> None:
    """TensorRT 8.6 moved the coordinates of a warp in half precision, and the warp was wrong by 0.7."""
    floats, halves = movers(half, "FLOAT"), movers(half, "HALF")
    untyped = [layers[kind] for kind in UNTYPED]
    helpers = [FakeLayer("SHUFFLE", f"of a {dtype} constant", "(Unnamed)", dtype) for dtype in ("float", "half", "int")]
    build(FakeBuilders("8.6", [*floats, *halves, *untyped, *helpers]), request_of_half)
    assert [(layer.precision_is_set, layer.precision, layer.types) for layer in (*floats, helpers[0])] == 6 * [
        (True, "float", {0: "float"})
    ]
    assert [layer.name for layer in (*halves, *untyped, *helpers[1:]) if layer.pinned] == []


def test_as_preferences_no_layer_that_only_moves_data_has_a_type(
    layers: dict[str, FakeLayer], half: onnx.ModelProto, request_of_half: PlanRequest
) -> None:
    """TensorRT 8.6 could not build ``nano`` with them even then."""
    floats = movers(half, "FLOAT")
    library = FakeBuilders("8.6", [layers["GRID_SAMPLE"], *floats])
    library.failures = [NO_FIT]
    build(library, request_of_half)
    assert len(library.builds) == 2
    assert [layer.name for layer in floats if layer.pinned] == []
    assert layers["GRID_SAMPLE"].pinned


def test_a_convolution_that_the_graph_does_not_name_is_refused(
    layers: dict[str, FakeLayer], request_of_half: PlanRequest
) -> None:
    helper = FakeLayer("CONVOLUTION", "helper", "a tensor that the ONNX does not name")
    library = FakeBuilders("8.6", [*layers.values(), helper])
    with pytest.raises(ExportError, match=r"tensorrt 8\.6\.1: precision could not be pinned for helper"):
        build(library, request_of_half)


def test_a_sampling_that_the_graph_does_not_name_is_refused(
    layers: dict[str, FakeLayer], request_of_half: PlanRequest
) -> None:
    """Its precision reads as float32, as wanted, but TensorRT may choose another."""
    helper = FakeLayer("GRID_SAMPLE", "helper", "a tensor that the ONNX does not name")
    library = FakeBuilders("8.6", [*layers.values(), helper])
    with pytest.raises(ExportError, match=r"tensorrt 8\.6\.1: precision could not be pinned for helper"):
        build(library, request_of_half)


def test_without_an_implementation_of_every_type_the_types_are_preferences(
    layers: dict[str, FakeLayer], request_of_half: PlanRequest
) -> None:
    library = FakeBuilders("8.6", list(layers.values()))
    library.failures = [NO_FIT]
    built = build(library, request_of_half)
    assert library.builds == [{"FP16", "OBEY_PRECISION_CONSTRAINTS"}, {"FP16", "PREFER_PRECISION_CONSTRAINTS"}]
    assert built.data == b"plan"
    assert built.notes == (
        f"WARNING: tensorrt 8.6.1 has no implementation that keeps the type of every layer ({NO_FIT}); the plan was "
        "built again, and may run layers without one in another type",
    )


def test_a_build_that_fails_with_preferences_too(layers: dict[str, FakeLayer], request_of_half: PlanRequest) -> None:
    library = FakeBuilders("8.6", list(layers.values()))
    library.failures = [NO_FIT, "out of memory"]
    both = f"tensorrt 8.6.1 could not build the plan: {NO_FIT}; with the types as preferences: out of memory"
    with pytest.raises(ExportError, match=f"^{re.escape(both)}$"):
        build(library, request_of_half)


def test_a_build_that_fails_for_another_reason_is_not_made_twice(
    layers: dict[str, FakeLayer], request_of_half: PlanRequest
) -> None:
    library = FakeBuilders("8.6", list(layers.values()))
    library.failures = ["out of memory"]
    with pytest.raises(ExportError, match=r"could not build the plan: out of memory$"):
        build(library, request_of_half)
    assert len(library.builds) == 1


@pytest.mark.parametrize(("generation", "floats"), [("10", "fp16"), ("8.6", "fp32")])
def test_nothing_is_built_twice_where_nothing_is_pinned(generation: str, floats: str) -> None:
    library = FakeBuilders(generation)
    library.failures = [NO_FIT]
    with pytest.raises(ExportError, match=NO_FIT):
        build(library, PlanRequest(floats=floats))
    assert library.builds == [set()]


def test_the_lines_of_a_plan_name_the_layers_that_differ(
    layers: dict[str, FakeLayer], request_of_half: PlanRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A convolution in float32, a sampling in half precision, and two layers that run as asked."""
    plan_layers = (
        PlanLayer(layers["CONVOLUTION"].name, "CaskConvolution", ("Row major linear FP32",)),
        PlanLayer(layers["GRID_SAMPLE"].name, "GridSample", ("Row major linear FP16",)),
        PlanLayer(f"PWN({layers['ELEMENTWISE'].name})", "PointWiseV2", ("Row major linear FP32",)),
    )
    monkeypatch.setattr(writer, "inspect_plan", lambda trt, plan, *, targets: plan_layers)
    library = FakeBuilders("8.6", list(layers.values()))
    library.failures = [NO_FIT]
    (tmp_path / "x.onnx").write_bytes(b"graph")
    lines = write_plan(Toolchain(library.module, "tensorrt"), tmp_path / "x.onnx", request_of_half)
    assert lines[0].startswith("WARNING: tensorrt 8.6.1 has no implementation")
    assert lines[1].startswith("0 of 55 FP16 convolutions run in FP16")
    module = layers["CONVOLUTION"].name.rpartition("/")[0]
    assert lines[2] == f"run in another type than in the graph: {module} FP32"
    assert lines[-1] == (
        f"WARNING: float32 in the graph, but not run in float32 by TensorRT: {layers['GRID_SAMPLE'].name} FP16"
    )
