"""The exported graph: its contract, its metadata, its two opsets, and its outputs against PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import helper

from mostnet.contract import ExportError, FrameError, input_spec, output_specs
from mostnet.contract.metrics import end_point_error_px
from mostnet.engine import Engine
from mostnet.export.graph import build_graph, float32_islands, graph_metadata, save_graph
from mostnet.export.opset import lower_opset
from mostnet.export.verification import reference_stream
from mostnet.model import load_checkpoint

from .conftest import SIZE, moving_clip


@pytest.fixture(scope="module")
def graphs(checkpoint_path: Path) -> dict[tuple[str, int], onnx.ModelProto]:
    loaded = load_checkpoint(checkpoint_path)
    return {
        (precision, opset): build_graph(
            loaded, size_hw=SIZE, precision=precision, opset=opset, checkpoint_sha256="digest"
        )
        for precision, opset in (("fp32", 19), ("fp32", 17), ("fp16", 19), ("fp16", 17))
    }


def tensor_facts(values: list[onnx.ValueInfoProto]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {
        v.name: (
            onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type).name,
            tuple(d.dim_value for d in v.type.tensor_type.shape.dim),
        )
        for v in values
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("opset", [17, 19])
def test_contract_of_the_graph(graphs: dict, precision: str, opset: int) -> None:
    graph = graphs[precision, opset]
    metadata = graph_metadata(graph)
    assert (metadata.variant, metadata.size_hw, metadata.precision) == ("nano", SIZE, precision)
    assert (metadata.opset, metadata.trained, metadata.checkpoint_sha256) == (opset, False, "digest")
    assert graph.opset_import[0].version == opset
    assert [p.name for p in metadata.states] == ["hidden4", "hidden8", "hidden16", "match16", "match8", "fine2"]
    assert {p.dtype for p in metadata.states} == {{"fp32": "float32", "fp16": "float16"}[precision]}
    inputs = [input_spec(SIZE), *(p.input for p in metadata.states)]
    outputs = [*output_specs(SIZE), *(p.output for p in metadata.states)]
    assert tensor_facts(graph.graph.input) == {s.name: (s.dtype, s.shape) for s in inputs}
    assert tensor_facts(graph.graph.output) == {s.name: (s.dtype, s.shape) for s in outputs}


def test_cast_comes_first_and_last(graphs: dict) -> None:
    """TensorRT takes a uint8 input into a Cast only, and gives a uint8 output from one only."""
    nodes = graphs["fp16", 19].graph.node
    assert [n.op_type for n in nodes if "frame" in n.input] == ["Cast"]
    assert {n.op_type for n in nodes if {"enhanced", "mask"} & set(n.output)} == {"Cast"}


def test_nothing_of_this_machine_is_in_the_graph(graphs: dict) -> None:
    data = graphs["fp32", 19].SerializeToString()
    assert str(Path(__file__).parents[2]).encode() not in data
    assert b"stack_trace" not in data


def test_half_precision_has_float32_only_in_the_islands(graphs: dict, checkpoint_path: Path) -> None:
    islands = float32_islands(load_checkpoint(checkpoint_path))
    inferred = onnx.shape_inference.infer_shapes(graphs["fp16", 19]).graph
    single = {v.name for v in inferred.value_info if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    makers = [n.name for n in inferred.node if single & set(n.output) and n.op_type != "Constant"]
    assert makers, "the flow is float32"
    assert [name for name in makers if not name.startswith(tuple(f"{i}/" for i in islands))] == []


def test_opset_17_computes_the_same(graphs: dict, clip: list[np.ndarray]) -> None:
    def outputs(opset: int) -> list[np.ndarray]:
        session = ort.InferenceSession(graphs["fp32", opset].SerializeToString(), providers=["CPUExecutionProvider"])
        feed = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs() if i.name != "frame"}
        return session.run(None, {**feed, "frame": clip[0][None]})

    for new, old in zip(outputs(19), outputs(17), strict=True):
        # A rounding that falls the other way is one grey level.
        levels = np.issubdtype(new.dtype, np.integer)
        np.testing.assert_allclose(new.astype(np.float64), old.astype(np.float64), atol=1 if levels else 1e-4)


@pytest.mark.parametrize("size", [SIZE, (101, 133)])
def test_engine_streams_what_pytorch_streams(checkpoint_path: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    """Fifty frames with carried state: within one grey level and 0.01 px of the float32 network."""
    loaded = load_checkpoint(checkpoint_path)
    path = tmp_path / "model.onnx"
    save_graph(build_graph(loaded, size_hw=size, precision="fp32", opset=19, checkpoint_sha256="x"), path)
    moved = 0.0
    with Engine(path) as engine:
        for frame, wanted in reference_stream(loaded, moving_clip(50, size)):
            found = engine.infer(frame)
            assert np.abs(found.enhanced.astype(int) - wanted.enhanced).max() <= 1
            assert end_point_error_px(found.flow, wanted.flow) <= 0.01
            assert np.abs(found.flow - wanted.flow).max() <= 0.01
            assert np.abs(found.mask.astype(int) - wanted.mask).max() <= 1
            moved += float(np.abs(found.flow).mean())
    assert moved / 50 > 1, "a network that does nothing would pass"


def test_no_pool_pads_the_height_alone(graphs: dict) -> None:
    """From opset 19 on, ONNX Runtime 1.23, the last for Python 3.10, computes such a pool wrongly."""
    for graph in graphs.values():
        pools = [
            {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            for node in graph.graph.node
            if node.op_type == "AveragePool"
        ]
        padded = [pool["pads"] for pool in pools if any(pool.get("pads", ()))]
        assert padded and not [pads for pads in padded if pads[0] and not pads[1]]


def test_poisoned_state_heals_in_onnx_runtime(graphs: dict, clip: list[np.ndarray]) -> None:
    session = ort.InferenceSession(graphs["fp16", 19].SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]

    def step(frame: np.ndarray, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, {"frame": frame[None], **state}), strict=True))

    def carried(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {n.replace("_out_", "_in_"): v for n, v in outputs.items() if n.startswith("state_out_")}

    zeros = {i.name: np.zeros(i.shape, np.float16) for i in session.get_inputs() if i.name != "frame"}
    first = step(clip[0], zeros)
    assert first["finite"].tolist() == [True]
    bad = step(clip[1], {n: np.full_like(v, np.nan) for n, v in carried(first).items()})
    assert bad["finite"].tolist() == [False]
    np.testing.assert_array_equal(bad["enhanced"][0], clip[1])
    healed = step(clip[2], carried(bad))
    assert healed["finite"].tolist() == [True]
    assert np.abs(healed["enhanced"][0].astype(int) - clip[2]).mean() > 2


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"precision": "int4"}, ExportError, "'int4' cannot be exported; choose one of fp32, fp16"),
        ({"opset": 20}, ExportError, "opset 20 cannot be exported; choose one of 17, 18, 19"),
        ({"size_hw": (48, 640)}, FrameError, "48x640; each side must be at least 64"),
    ],
)
def test_refused(checkpoint_path: Path, changes: dict, error: type[Exception], text: str) -> None:
    asked = {"size_hw": SIZE, "precision": "fp16", "opset": 19, "checkpoint_sha256": "x", **changes}
    with pytest.raises(error, match=text):
        build_graph(load_checkpoint(checkpoint_path), **asked)


def test_unknown_changed_operator_is_refused() -> None:
    node = onnx.helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], name="norm", num_groups=2)
    graph = onnx.helper.make_graph([node], "g", [], [])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)])
    with pytest.raises(ExportError, match=r"GroupNormalization \(norm\) has no form in opset 17"):
        lower_opset(model, 17)


def test_tracing_leaves_the_checkpoint_alone(checkpoint_path: Path) -> None:
    loaded = load_checkpoint(checkpoint_path)
    build_graph(loaded, size_hw=SIZE, precision="fp16", opset=19, checkpoint_sha256="x")
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
