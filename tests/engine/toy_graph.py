"""A small stateful graph with the tensors of a real export, and the same arithmetic in NumPy.

States of every type, so that a swapped or stale one shows: ``mean`` halves and adds the frame's mean, ``last`` is the
frame, ``turn`` goes from 0 to -1 and back with every frame and moves the flow by 256 times that. A first pixel of 255
in the blue channel makes ``mean`` NaN, which the graph heals as a real one does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mostnet.contract import ONNX_DIGEST_KEY, ONNX_KEY, Metadata, StatePair
from mostnet.engine.ort.file import onnx_digest

SIZE_HW = (64, 80)
STATES = (
    StatePair("mean", (1, 1, 1, 1), "float32"),
    StatePair("last", (1, *SIZE_HW, 3), "float16"),
    StatePair("turn", (1, 1, 1, 1), "int8"),
)
METADATA = Metadata(
    variant="toy", size_hw=SIZE_HW, precision="fp32", opset=19, trained=False, states=STATES, checkpoint_sha256="0" * 64
)

_ONNX_TYPES = {
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "bool": TensorProto.BOOL,
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
}


def save_toy(path: Path, *, metadata: str | None = METADATA.to_json(), flow_name: str = "flow") -> Path:
    """Write the graph to ``path``; ``metadata`` goes into it as it is, or not at all."""
    height, width = SIZE_HW
    inputs = [_value("frame", (1, height, width, 3), "uint8")]
    inputs += [_value(pair.input.name, pair.shape, pair.dtype) for pair in STATES]
    outputs = [
        _value("enhanced", (1, height, width, 3), "uint8"),
        _value(flow_name, (1, 2, height, width), "float32"),
        _value("mask", (1, height, width), "uint8"),
        _value("finite", (1,), "bool"),
    ]
    outputs += [_value(pair.output.name, pair.shape, pair.dtype) for pair in STATES]
    graph = helper.make_graph(_nodes(flow_name), "toy", inputs, outputs, _constants())
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    if metadata is not None:
        helper.set_model_props(model, {ONNX_KEY: metadata, ONNX_DIGEST_KEY: onnx_digest(path)})
        path.write_bytes(model.SerializeToString())
    return path


def reference(frames: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, bool]]:
    """(enhanced, flow, mask, finite) of each frame, from zero state."""
    mean, last = np.float32(0), np.zeros((*SIZE_HW, 3), np.float32)
    results = []
    for i, frame in enumerate(frames):
        picture = frame.astype(np.float32)
        finite = frame[0, 0, 0] != 255
        mean = np.float32(mean * 0.5 + picture.mean(dtype=np.float64)) if finite else np.float32(0)
        enhanced = (picture * 0.5 + last * 0.5 if finite else picture).astype(np.uint8)
        last = picture
        flow = np.full((2, *SIZE_HW), mean - 256 * (i % 2 == 0), np.float32)
        mask = np.full(SIZE_HW, min(mean, 255), np.float32).astype(np.uint8)
        results.append((enhanced, flow, mask, bool(finite)))
    return results


def toy_frames(count: int, seed: int = 0) -> list[np.ndarray]:
    """Random frames, none with the marker pixel."""
    frames = np.random.default_rng(seed).integers(0, 256, (count, *SIZE_HW, 3), np.uint8)
    frames[:, 0, 0, 0] = 7
    return list(frames)


def _value(name: str, shape: tuple[int, ...], dtype: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _ONNX_TYPES[dtype], shape)


def _constants() -> list[onnx.TensorProto]:
    height, width = SIZE_HW
    arrays = {
        "minus_one": np.float32(-1),
        "much": np.float32(256),
        "half": np.float32(0.5),
        "zero": np.float32(0),
        "nan": np.float32(np.nan),
        "bound": np.float32(1e6),
        "top": np.float32(255),
        "marker": np.float32(255),
        "axes": np.array([1, 2, 3], np.int64),
        "corner_from": np.array([0, 0, 0], np.int64),
        "corner_to": np.array([1, 1, 1], np.int64),
        "flow_shape": np.array([1, 2, height, width], np.int64),
        "mask_shape": np.array([1, height, width], np.int64),
        "one": np.array([1], np.int64),
        "flat": np.array([1, 1, 1], np.int64),
    }
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]


def _nodes(flow_name: str) -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Cast", ["frame"], ["picture"], to=TensorProto.FLOAT),
        node("ReduceMean", ["picture", "axes"], ["average"], keepdims=1),
        node("Slice", ["picture", "corner_from", "corner_to", "axes"], ["corner"]),
        node("Equal", ["corner", "marker"], ["marked"]),
        node("Where", ["marked", "nan", "average"], ["fresh"]),
        node("Mul", ["state_in_mean", "half"], ["faded"]),
        node("Add", ["faded", "fresh"], ["mean"]),
        node("Abs", ["mean"], ["size"]),
        node("Less", ["size", "bound"], ["ok"]),
        node("Where", ["ok", "mean", "zero"], ["state_out_mean"]),
        node("Reshape", ["ok", "one"], ["finite"]),
        node("Cast", ["picture"], ["state_out_last"], to=TensorProto.FLOAT16),
        node("Cast", ["state_in_last"], ["last"], to=TensorProto.FLOAT),
        node("Add", ["picture", "last"], ["both"]),
        node("Mul", ["both", "half"], ["blend"]),
        node("Where", ["ok", "blend", "picture"], ["shown"]),
        node("Cast", ["shown"], ["enhanced"], to=TensorProto.UINT8),
        node("Cast", ["state_in_turn"], ["turn"], to=TensorProto.FLOAT),
        node("Sub", ["minus_one", "turn"], ["next_turn"]),
        node("Cast", ["next_turn"], ["state_out_turn"], to=TensorProto.INT8),
        node("Mul", ["next_turn", "much"], ["swing"]),
        node("Add", ["state_out_mean", "swing"], ["swinging"]),
        node("Expand", ["swinging", "flow_shape"], [flow_name]),
        node("Min", ["state_out_mean", "top"], ["level"]),
        node("Reshape", ["level", "flat"], ["level3"]),
        node("Expand", ["level3", "mask_shape"], ["levels"]),
        node("Cast", ["levels"], ["mask"], to=TensorProto.UINT8),
    ]
