"""The toy network of the stand-in as an ONNX graph, and the check of its results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mostnet.bench.gpu.standin.toy import HISTORY, INPUTS, METADATA, NAN, OUTPUTS, SIZE_HW, reference
from mostnet.contract import ONNX_DIGEST_KEY, ONNX_KEY, TensorSpec
from mostnet.engine import Output
from mostnet.engine.ort.file import onnx_digest


def assert_reference(
    outputs: Iterable[Output], frames: Sequence[np.ndarray], *, before: Sequence[np.ndarray] = ()
) -> None:
    """Each output is what ``reference`` gives, as far as it was asked for; the state has seen the frames ``before``."""
    outputs = list(outputs)
    assert len(outputs) == len(frames)
    expected = reference([*before, *frames])[len(before) :]
    for index, (output, wanted) in enumerate(zip(outputs, expected, strict=True)):
        for name in output.names:
            found = getattr(output, name)
            assert (found.dtype, found.shape) == (wanted[name].dtype, wanted[name].shape)
            assert np.array_equal(found, wanted[name]), f"{name} of output {index}"
        assert output.finite == wanted["finite"], f"output {index}"


def save_toy(path: Path, *, metadata: str | None = METADATA.to_json(), flow_name: str = "flow") -> Path:
    """Write the graph to ``path`` with ``metadata``, or without any; ``flow_name`` renames an output."""
    specs = [TensorSpec(flow_name, spec.shape, spec.dtype) if spec.name == "flow" else spec for spec in OUTPUTS]
    graph = helper.make_graph(
        _nodes(flow_name), "toy", [_info(spec) for spec in INPUTS], [_info(spec) for spec in specs], _constants()
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    if metadata is not None:
        helper.set_model_props(model, {ONNX_KEY: metadata, ONNX_DIGEST_KEY: onnx_digest(path)})
        path.write_bytes(model.SerializeToString())
    return path


def _info(spec: TensorSpec) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return helper.make_tensor_value_info(spec.name, kind, spec.shape)


def _constants() -> list[onnx.TensorProto]:
    height, width = SIZE_HW
    arrays = {
        "white": np.float32(255),
        "one": np.float32(1),
        "most": np.float32(254),
        "least": np.float32(-HISTORY),
        "nan": np.float32(NAN),
        "axes": np.array([1, 2, 3]),
        "corner_from": np.array([0, 0, 0]),
        "corner_to": np.array([1, 1, 1]),
        "last_axis": np.array([3]),
        "second": np.array([1]),
        "end": np.array([HISTORY]),
        "first": np.array([0]),
        "plane_shape": np.array([1, 1, height, width]),
        "row_shape": np.array([1, -1]),
        "mask_padding": np.array([0, 0, 0, height * width - HISTORY - 3]),
        "mask_shape": np.array([1, height, width]),
        "single": np.array([1]),
    }
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]


def _nodes(flow_name: str) -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Cast", ["frame"], ["picture"], to=TensorProto.FLOAT),
        node("Sub", ["white", "picture"], ["negative"]),
        node("Cast", ["negative"], ["enhanced"], to=TensorProto.UINT8),
        node("Slice", ["picture", "first", "second", "last_axis"], ["blue"]),
        node("Cast", ["blue"], ["state_out_last"], to=TensorProto.FLOAT16),
        node("Slice", ["picture", "corner_from", "corner_to", "axes"], ["number"]),
        node("Less", ["number", "nan"], ["ok"]),
        node("Reshape", ["ok", "single"], ["finite"]),
        node("Add", ["state_in_sum", "number"], ["state_out_sum"]),
        node("Expand", ["state_out_sum", "plane_shape"], ["totals"]),
        node("Cast", ["state_in_last"], ["last_blue"], to=TensorProto.FLOAT),
        node("Reshape", ["last_blue", "plane_shape"], ["lasts"]),
        node("Concat", ["totals", "lasts"], [flow_name], axis=1),
        node("Min", ["number", "most"], ["limited"]),
        node("Add", ["limited", "one"], ["newest"]),
        node("Cast", ["state_in_seen"], ["seen_before"], to=TensorProto.FLOAT),
        node("Slice", ["seen_before", "second", "end", "last_axis"], ["kept"]),
        node("Concat", ["kept", "newest"], ["seen"], axis=3),
        node("Cast", ["seen"], ["state_out_seen"], to=TensorProto.FLOAT16),
        node("Cast", ["state_in_length"], ["length_before"], to=TensorProto.FLOAT),
        node("Sub", ["length_before", "one"], ["longer"]),
        node("Max", ["longer", "least"], ["length"]),
        node("Cast", ["length"], ["state_out_length"], to=TensorProto.INT8),
        node("Neg", ["length"], ["count"]),
        node("Reshape", ["seen", "row_shape"], ["seen_row"]),
        node("Reshape", ["count", "row_shape"], ["count_row"]),
        node("Concat", ["seen_row", "count_row"], ["told"], axis=1),
        node("Pad", ["told", "mask_padding"], ["padded"]),
        node("Reshape", ["padded", "mask_shape"], ["levels"]),
        node("Cast", ["levels"], ["mask"], to=TensorProto.UINT8),
    ]
