"""Scales of Q/DQ nodes, which are float32 before opset 19."""

from __future__ import annotations

from collections.abc import Collection

import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from mostnet.contract import CalibrationError

#: First opset with Q/DQ nodes on half-precision tensors.
_HALF_SCALES = 19


def check_scales(model: onnx.ModelProto, dtypes: Collection[str]) -> None:
    """Check that tensors of ``dtypes`` (NumPy names) can be quantised in the opset of ``model``.

    Raises:
        CalibrationError: half precision, and the opset is too old.
    """
    if "float16" in dtypes and model.opset_import[0].version < _HALF_SCALES:
        raise CalibrationError(
            f"INT8 on half-precision tensors needs opset {_HALF_SCALES}; export at {_HALF_SCALES}, or with --rest fp32"
        )


def widen_scales(model: onnx.ModelProto) -> None:
    """Give every Q/DQ node with a half-precision scale a float32 one, in place, with a cast before or after it."""
    scales = {t.name: t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT16}
    used: set[str] = set()
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.input[1] not in scales:
            nodes.append(node)
            continue
        used.add(node.input[1])
        if node.op_type == "QuantizeLinear":
            wide = f"{node.output[0]}_float32"
            nodes += [_cast(node, node.input[0], wide, TensorProto.FLOAT), node]
            node.input[0] = wide
        else:
            half = node.output[0]
            node.output[0] = f"{half}_float32"
            nodes += [node, _cast(node, node.output[0], half, TensorProto.FLOAT16)]
    for name in used:
        scales[name].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scales[name]).astype("float32"), name))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _cast(node: NodeProto, source: str, target: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"{node.name}_cast", to=kind)
