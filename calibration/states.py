"""INT8 between frames: state inputs are dequantised, and state outputs quantised with the same scale.

Zeros still mean that there is no previous frame, since the zero point is 0. A cell with history does not round to
zeros: a match vector of ``M`` channels and length one has a component of at least ``M ** -0.5``, and half a step is at
most 1/254, since a range chosen from such vectors is at most 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from mostnet.contract import ONNX_KEY, Metadata, StatePair

from .histogram import LEVELS
from .scales import check_scales

#: Range of a state that stayed zero throughout calibration: every state of the network is within it.
_UNSEEN_RANGE = 1.0


def quantise_states(model: onnx.ModelProto, thresholds: Mapping[str, float]) -> onnx.ModelProto:
    """A copy of a graph that carries some of its state in INT8, with metadata that say so.

    Args:
        model: a graph with our metadata, whose state tensors are float32 or, from opset 19, float16.
        thresholds: the magnitude that becomes 127, by name of each state to quantise.

    Raises:
        CalibrationError: half-precision states below opset 19.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    properties = {p.key: p.value for p in copy.metadata_props}
    metadata = Metadata.from_json(properties[ONNX_KEY], source="the float graph")
    chosen = [pair for pair in metadata.states if pair.name in thresholds]
    check_scales(copy, {pair.dtype for pair in chosen})
    into, out_of = [], []
    for pair in chosen:
        into.append(_dequantise(copy.graph, pair))
        out_of.append(_quantise(copy.graph, pair))
        copy.graph.initializer.extend(_scale(pair, thresholds[pair.name]))
    nodes = [*into, *copy.graph.node, *out_of]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    states = tuple(replace(pair, dtype="int8") if pair in chosen else pair for pair in metadata.states)
    helper.set_model_props(copy, {**properties, ONNX_KEY: replace(metadata, states=states).to_json()})
    onnx.checker.check_model(copy, full_check=True)
    return copy


def _dequantise(graph: onnx.GraphProto, pair: StatePair) -> NodeProto:
    """Make the state's input INT8, and return the node that restores it."""
    name = pair.input.name
    _make_int8(graph.input, name)
    for node in graph.node:
        _rename(node.input, name, f"{name}_float")
    inputs = [name, *_scale_names(pair)]
    return helper.make_node("DequantizeLinear", inputs, [f"{name}_float"], name=f"state/{pair.name}_dequantize")


def _quantise(graph: onnx.GraphProto, pair: StatePair) -> NodeProto:
    """Make the state's output INT8, and return the node that rounds the former output."""
    name = pair.output.name
    _make_int8(graph.output, name)
    for node in graph.node:
        _rename(node.input, name, f"{name}_float")
        _rename(node.output, name, f"{name}_float")
    inputs = [f"{name}_float", *_scale_names(pair)]
    return helper.make_node("QuantizeLinear", inputs, [name], name=f"state/{pair.name}_quantize")


def _scale(pair: StatePair, threshold: float) -> list[TensorProto]:
    """Scale and zero point of both nodes of a state.

    The scale is never subnormal: hardware may flush a subnormal to zero, and a division by it may overflow.
    """
    scale = max((threshold or _UNSEEN_RANGE) / LEVELS, float(np.finfo(pair.dtype).tiny))
    values = (np.array(scale, pair.dtype), np.array(0, np.int8))
    return [numpy_helper.from_array(value, name) for value, name in zip(values, _scale_names(pair), strict=True)]


def _scale_names(pair: StatePair) -> tuple[str, str]:
    return f"state_{pair.name}_scale", f"state_{pair.name}_zero_point"


def _make_int8(values: list[onnx.ValueInfoProto], name: str) -> None:
    value = next(value for value in values if value.name == name)
    value.type.tensor_type.elem_type = TensorProto.INT8


def _rename(names: list[str], old: str, new: str) -> None:
    for i, name in enumerate(names):
        if name == old:
            names[i] = new
