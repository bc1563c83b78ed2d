"""The graph with INT8 state: types, scales, metadata and outputs; a cell with history keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mostnet.calibration import METHODS, Histogram, convolutions, quantise, quantise_states
from mostnet.contract import ONNX_KEY, CalibrationError, Metadata, StatePair
from mostnet.export.graph import graph_metadata
from mostnet.export.opset import lower_opset
from tests.rounding import needs_rounding

from .conftest import SIZE, at_opset_17, session_of

STATES = ("hidden4", "hidden8", "hidden16", "match16", "match8", "fine2")
RANGES = {"hidden4": 0.7, "hidden8": 0.6, "hidden16": 0.5, "match16": 0.9, "match8": 0.8, "fine2": 0.5}
CELLS = (6, 7)

Arrays = dict[str, np.ndarray]


def run(session: onnxruntime.InferenceSession, frame: np.ndarray, state: Arrays) -> Arrays:
    """Outputs by name; ``state`` by name of each state."""
    inputs = {f"state_in_{name}": value for name, value in state.items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"frame": frame[None], **inputs}), strict=True))


def zeros(metadata: Metadata) -> Arrays:
    return {pair.name: np.zeros(pair.shape, pair.dtype) for pair in metadata.states}


def frames(count: int) -> list[np.ndarray]:
    canvas = np.random.default_rng(0).integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8 + count, 3), np.uint8)
    wide = canvas.repeat(8, 0).repeat(8, 1)
    return [wide[:, 5 * i : 5 * i + SIZE[1]] for i in range(count)]


@pytest.fixture(scope="module")
def quantised(half: onnx.ModelProto) -> onnx.ModelProto:
    return quantise_states(half, RANGES)


def test_types_scales_and_description(half: onnx.ModelProto, quantised: onnx.ModelProto) -> None:
    values = {t.name: numpy_helper.to_array(t) for t in quantised.graph.initializer}
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*quantised.graph.input, *quantised.graph.output)}
    makers = {name: node for node in quantised.graph.node for name in node.output}
    for name in STATES:
        (entry,) = [n for n in quantised.graph.node if f"state_in_{name}" in n.input]
        leaving = makers[f"state_out_{name}"]
        assert (entry.op_type, leaving.op_type) == ("DequantizeLinear", "QuantizeLinear")
        assert list(entry.input[1:]) == list(leaving.input[1:]), "one scale for both"
        assert values[entry.input[1]] == np.float16(RANGES[name] / 127)
        assert values[entry.input[2]] == 0 and values[entry.input[2]].dtype == np.int8
        assert makers[leaving.input[0]].name.startswith("sanitise/"), "only finite values are rounded"
        assert {kinds[f"state_in_{name}"], kinds[f"state_out_{name}"]} == {TensorProto.INT8}
    before, after = graph_metadata(half), graph_metadata(quantised)
    assert [pair.dtype for pair in after.states] == ["int8"] * 6
    assert [(p.name, p.shape) for p in after.states] == [(p.name, p.shape) for p in before.states]
    assert (after.precision, after.checkpoint_sha256) == (before.precision, before.checkpoint_sha256)
    assert {pair.dtype for pair in before.states} == {"float16"}, "the given graph does not change"


@needs_rounding
def test_a_stream_is_that_of_the_float_graph_with_rounded_state(
    half: onnx.ModelProto, quantised: onnx.ModelProto
) -> None:
    float_session, int8_session = session_of(half), session_of(quantised)
    state = zeros(graph_metadata(quantised))
    largest = 0
    for frame in frames(4):
        restored = {k: (v * np.float16(RANGES[k] / 127).astype(np.float32)).astype("float16") for k, v in state.items()}
        wanted, found = run(float_session, frame, restored), run(int8_session, frame, state)
        for name in ("enhanced", "flow", "mask", "finite"):
            np.testing.assert_array_equal(found[name], wanted[name])
        for name in STATES:
            stored = wanted[f"state_out_{name}"].astype(np.float32) / np.float16(RANGES[name] / 127).astype(np.float32)
            rounded = np.clip(np.round(stored), -128, 127)
            off = np.abs(found[f"state_out_{name}"] - rounded)
            assert off.max() <= 1 and off.mean() < 0.01, "a half-precision division may round a tie to the other side"
        state = {name: found[f"state_out_{name}"] for name in STATES}
        largest = max(largest, *(int(np.abs(value.astype(int)).max()) for value in state.values()))
    assert largest > 64


def test_zeros_are_no_history(half: onnx.ModelProto, quantised: onnx.ModelProto) -> None:
    (frame,) = frames(1)
    wanted = run(session_of(half), frame, zeros(graph_metadata(half)))
    found = run(session_of(quantised), frame, zeros(graph_metadata(quantised)))
    assert not found["flow"].any()
    for name in ("enhanced", "flow", "mask"):
        np.testing.assert_array_equal(found[name], wanted[name])


def test_every_cell_of_a_seen_frame_stays_seen(quantised: onnx.ModelProto) -> None:
    found = run(session_of(quantised), frames(1)[0], zeros(graph_metadata(quantised)))
    for name in ("match8", "match16"):
        assert found[f"state_out_{name}"].any(axis=1).all(), name


def test_some_states_may_stay_float(half: onnx.ModelProto) -> None:
    found = quantise_states(half, {"match8": 1.0})
    assert {p.name: p.dtype for p in graph_metadata(found).states} == {
        name: "int8" if name == "match8" else "float16" for name in STATES
    }
    run(session_of(found), frames(1)[0], zeros(graph_metadata(found)))


def test_float32_states() -> None:
    found = quantise_states(unit_graph(4, "float32"), {"match": 0.5})
    scales = [t for t in found.graph.initializer if t.name.endswith("_scale")]
    assert [numpy_helper.to_array(t) for t in scales] == [np.float32(0.5 / 127)]
    assert scales[0].data_type == TensorProto.FLOAT


def test_opset_17_gives_float32_scales_and_nearly_the_same(half: onnx.ModelProto, quantised: onnx.ModelProto) -> None:
    new = quantise(quantised, dict.fromkeys(list(convolutions(half))[:3], 2.0))
    old = at_opset_17(new)
    assert {p.dtype for p in graph_metadata(old).states} == {"int8"}
    (frame,) = frames(1)
    one, other = (run(session_of(model), frame, zeros(graph_metadata(quantised))) for model in (new, old))
    for name in STATES:
        found, wanted = (outputs[f"state_out_{name}"].astype(int) for outputs in (one, other))
        assert np.abs(found - wanted).mean() < 1


def test_half_precision_below_opset_19_is_refused(half: onnx.ModelProto) -> None:
    lowered = onnx.ModelProto()
    lowered.CopyFrom(half)
    with pytest.raises(CalibrationError, match="INT8 on half-precision tensors needs opset 19; export at 19"):
        quantise_states(lower_opset(lowered, 17), RANGES)


@pytest.mark.parametrize("threshold", [0.0, 1e-9])
def test_a_state_of_zeros_has_a_scale_that_can_divide(threshold: float) -> None:
    found = quantise_states(unit_graph(4), {"match": threshold})
    (scale,) = [numpy_helper.to_array(t) for t in found.graph.initializer if t.name.endswith("_scale")]
    assert scale == (np.float16(1 / 127) if threshold == 0 else np.finfo(np.float16).tiny)


def unit_graph(channels: int, dtype: str = "float16") -> onnx.ModelProto:
    """``unit`` becomes the state. Like ``has_history``, ``seen`` is 1 at cells whose state is not zero."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    shape, flat = (1, channels, *CELLS), (1, 1, *CELLS)
    nodes = [
        helper.make_node("Identity", ["unit"], ["state_out_match"], name="frame/remember"),
        helper.make_node("Mul", ["state_in_match", "state_in_match"], ["squares"], name="frame/squares"),
        helper.make_node("ReduceMax", ["squares", "axes"], ["largest"], name="frame/largest"),
        helper.make_node("Sign", ["largest"], ["seen"], name="frame/seen"),
    ]
    inputs = [helper.make_tensor_value_info(name, kind, shape) for name in ("unit", "state_in_match")]
    outputs = [
        helper.make_tensor_value_info("seen", kind, flat),
        helper.make_tensor_value_info("state_out_match", kind, shape),
    ]
    axes = numpy_helper.from_array(np.array([1]), "axes")
    graph = helper.make_graph(nodes, "unit", inputs, outputs, [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    metadata = Metadata(
        variant="toy",
        size_hw=SIZE,
        precision="fp16",
        opset=19,
        trained=False,
        states=(StatePair("match", shape, dtype),),
        checkpoint_sha256="x",
    )
    helper.set_model_props(model, {ONNX_KEY: metadata.to_json()})
    return model


def unit_vectors(channels: int) -> np.ndarray:
    """Vectors ``(1, M, H, W)`` of length one: random, but one has equal components and one a single component."""
    vectors = np.random.default_rng(1).normal(size=(1, channels, *CELLS))
    vectors[0, :, 0, 0] = -1.0
    vectors[0, :, 0, 1] = np.eye(channels)[0]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def thresholds(vectors: np.ndarray) -> Sequence[float]:
    histogram = Histogram.empty()
    histogram.add(vectors.astype(np.float32))
    return [histogram.threshold(method) for method in METHODS]


@pytest.mark.parametrize("channels", [2, 16, 64, 512])
def test_a_unit_vector_is_history_by_every_method(channels: int) -> None:
    vectors = unit_vectors(channels)
    for threshold in (*thresholds(vectors), 1.0):
        session = session_of(quantise_states(unit_graph(channels), {"match": threshold}))
        empty = np.zeros(vectors.shape, np.int8)
        none, stored = session.run(["seen", "state_out_match"], {"unit": vectors, "state_in_match": empty})
        (seen,) = session.run(["seen"], {"unit": vectors, "state_in_match": stored})
        assert stored.dtype == np.int8
        assert not none.any(), "zeros are no history"
        assert (seen == 1).all(), f"{channels} channels, threshold {threshold}"
        assert np.abs(stored.astype(int)).max() <= 128


def test_values_past_the_range_saturate() -> None:
    session = session_of(quantise_states(unit_graph(2), {"match": 0.25}))
    vectors = np.full((1, 2, *CELLS), 7.0, np.float16)
    vectors[:, 1] = -60000.0
    (stored,) = session.run(["state_out_match"], {"unit": vectors, "state_in_match": np.zeros(vectors.shape, np.int8)})
    assert (stored[:, 0] == 127).all()
    assert (stored[:, 1] == -128).all()
