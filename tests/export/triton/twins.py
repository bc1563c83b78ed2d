"""A graph with two states of one shape, whose outputs are in another order than its inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mostnet.contract import ONNX_DIGEST_KEY, ONNX_KEY, Metadata, StatePair, TensorSpec, input_spec, output_specs
from mostnet.engine.ort.file import onnx_digest

SIZE_HW = (64, 64)
STATES = (StatePair("slow", (1, 1, 1, 1), "float32"), StatePair("fast", (1, 1, 1, 1), "float32"))


def save_twins(path: Path, *, size_hw: tuple[int, int] = SIZE_HW, checkpoint: str = "0") -> Path:
    """Write the graph. ``flow`` shows both states: ``slow`` adds up the frames' first values, ``fast`` twice those."""
    metadata = Metadata(
        variant="twins",
        size_hw=size_hw,
        precision="fp32",
        opset=19,
        trained=False,
        states=STATES,
        checkpoint_sha256=checkpoint * 64,
    )
    inputs = [input_spec(size_hw), *(pair.input for pair in STATES)]
    outputs = [*(pair.output for pair in reversed(STATES)), *output_specs(size_hw)]
    node = helper.make_node
    nodes = [
        node("Cast", ["frame"], ["picture"], to=TensorProto.FLOAT),
        node("Slice", ["picture", "corner_from", "corner_to", "axes"], ["number"]),
        node("Add", ["state_in_slow", "number"], ["state_out_slow"]),
        node("Mul", ["number", "two"], ["double"]),
        node("Add", ["state_in_fast", "double"], ["state_out_fast"]),
        node("Expand", ["state_out_slow", "plane"], ["slows"]),
        node("Expand", ["state_out_fast", "plane"], ["fasts"]),
        node("Concat", ["slows", "fasts"], ["flow"], axis=1),
        node("Identity", ["frame"], ["enhanced"]),
        node("ReduceMax", ["frame", "last"], ["mask"], keepdims=0),
        node("Less", ["number", "most"], ["ok"]),
        node("Reshape", ["ok", "single"], ["finite"]),
    ]
    constants = {
        "corner_from": np.array([0, 0, 0]),
        "corner_to": np.array([1, 1, 1]),
        "axes": np.array([1, 2, 3]),
        "two": np.float32(2),
        "most": np.float32(300),
        "plane": np.array([1, 1, *size_hw]),
        "last": np.array([3]),
        "single": np.array([1]),
    }
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "twins", [_info(s) for s in inputs], [_info(s) for s in outputs], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    helper.set_model_props(model, {ONNX_KEY: metadata.to_json()})
    path.write_bytes(model.SerializeToString())
    helper.set_model_props(model, {ONNX_KEY: metadata.to_json(), ONNX_DIGEST_KEY: onnx_digest(path)})
    path.write_bytes(model.SerializeToString())
    return path


def _info(spec: TensorSpec) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return helper.make_tensor_value_info(spec.name, kind, spec.shape)
