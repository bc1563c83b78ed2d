"""Lower a traced graph to an older opset, for TensorRT 8.6.

torch's exporter starts at opset 18, and onnx's converter has no adapter for Pad. This module rewrites the few operators
whose definition changed, and refuses any other changed operator.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
from onnx import NodeProto, helper, numpy_helper

from mostnet.contract import ExportError

from .options import TRACED_OPSET

Initializers = dict[str, onnx.TensorProto]


def lower_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Rewrite ``model`` in place so that every operator is as ``opset`` defines it.

    Raises:
        ExportError: an operator of the graph cannot be expressed in that opset.
    """
    if opset == TRACED_OPSET:
        return model
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if onnx.defs.get_schema(node.op_type, TRACED_OPSET).since_version <= opset:
            continue
        rewrite = _REWRITES.get(node.op_type)
        if rewrite is None:
            raise ExportError(f"{node.op_type} ({node.name}) has no form in opset {opset}; export at {TRACED_OPSET}")
        rewrite(node, initializers, opset)
    model.opset_import[0].version = opset
    used = {name for node in model.graph.node for name in node.input}
    unused = [tensor for tensor in model.graph.initializer if tensor.name not in used]
    for tensor in unused:
        model.graph.initializer.remove(tensor)
    return model


def _drop(*names: str) -> Callable[[NodeProto, Initializers, int], None]:
    """A rewrite that removes attributes of newer opsets."""

    def rewrite(node: NodeProto, initializers: Initializers, opset: int) -> None:
        kept = [attribute for attribute in node.attribute if attribute.name not in names]
        del node.attribute[:]
        node.attribute.extend(kept)

    return rewrite


def _axes_to_attribute(node: NodeProto, initializers: Initializers, opset: int) -> None:
    """Reductions take their axes as an input from opset 18, as an attribute before."""
    if opset >= 18 or len(node.input) < 2:
        return
    axes = numpy_helper.to_array(initializers[node.input[1]])
    del node.input[1]
    node.attribute.extend([helper.make_attribute("axes", [int(axis) for axis in axes])])
    _drop("noop_with_empty_axes")(node, initializers, opset)


def _pad(node: NodeProto, initializers: Initializers, opset: int) -> None:
    """Pad takes its axes as a fourth input from opset 18."""
    if len(node.input) == 4 and node.input[3]:
        raise ExportError(
            f"Pad ({node.name}) names its axes, which opset {opset} does not allow; export at {TRACED_OPSET}"
        )


_REWRITES: dict[str, Callable[[NodeProto, Initializers, int], None]] = {
    "AveragePool": _drop("dilations"),
    "Cast": _drop("saturate"),
    "Constant": _drop(),
    "DequantizeLinear": _drop(),
    "Identity": _drop(),
    "Pad": _pad,
    "QuantizeLinear": _drop("saturate"),
    "ReduceMax": _axes_to_attribute,
    "ReduceMean": _axes_to_attribute,
    "ReduceMin": _axes_to_attribute,
    "Reshape": _drop(),
    "Resize": _drop("antialias", "axes", "keep_aspect_ratio_policy"),
    "Split": _drop("num_outputs"),
}
