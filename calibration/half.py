"""Find the tensors that leave the range of half precision, and keep them in float32."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from .observe import Values
from .twin import float32_twin

#: Largest half-precision number, and the smallest with full precision.
LARGEST_HALF = 65504.0
SMALLEST_NORMAL_HALF = 2.0**-14
#: A magnitude this near to ``LARGEST_HALF`` may pass it on a frame that calibration did not see.
_HEADROOM = 2.0

_SUFFIX = "_magnitude"


@dataclass(frozen=True)
class TensorRange:
    """Largest magnitude of one half-precision tensor over the calibration frames, and the node that makes it."""

    tensor: str
    node: str
    largest: float

    @property
    def risk(self) -> str:
        """``overflow``: past 65504; ``near overflow``: past half of that; ``underflow``: all subnormal; else empty."""
        if self.largest > LARGEST_HALF:
            return "overflow"
        if self.largest > LARGEST_HALF / _HEADROOM:
            return "near overflow"
        return "underflow" if 0 < self.largest < SMALLEST_NORMAL_HALF else ""


def half_tensors(model: onnx.ModelProto) -> dict[str, NodeProto]:
    """The half-precision tensors inside a graph, without its outputs, each with the node that makes it."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    return {
        name: node
        for node in model.graph.node
        for name in node.output
        if types.get(name) == TensorProto.FLOAT16 and node.op_type != "Constant"
    }


def with_magnitudes(model: onnx.ModelProto, tensors: Collection[str]) -> onnx.ModelProto:
    """The float32 twin of ``model``, which also computes the largest magnitude of each tensor."""
    twin = float32_twin(model)
    for name in tensors:
        magnitude = helper.make_node("Abs", [name], [f"{name}_absolute"], name=f"{name}_absolute")
        largest = helper.make_node("ReduceMax", [f"{name}_absolute"], [name + _SUFFIX], name=name + _SUFFIX, keepdims=0)
        twin.graph.node.extend([magnitude, largest])
    return twin


def magnitude_names(tensors: Collection[str]) -> list[str]:
    """Names of the magnitudes that ``with_magnitudes`` computes."""
    return [name + _SUFFIX for name in tensors]


def tensor_ranges(frames: Iterator[Values], nodes: Mapping[str, NodeProto]) -> tuple[TensorRange, ...]:
    """Largest magnitudes over all frames, the largest first. NaN counts as infinite."""
    largest = dict.fromkeys(nodes, 0.0)
    for values in frames:
        for name in largest:
            value = float(values[name + _SUFFIX])
            largest[name] = max(largest[name], value if np.isfinite(value) else np.inf)
    found = [TensorRange(name, nodes[name].name, value) for name, value in largest.items()]
    return tuple(sorted(found, key=lambda r: -r.largest))


def keep_float32(
    model: onnx.ModelProto, tensors: Collection[str], weights: Mapping[str, npt.NDArray[np.float32]]
) -> tuple[str, ...]:
    """Change a half-precision graph in place, so that ``tensors`` are float32.

    The nodes that make and read them compute in float32, between casts.

    Args:
        tensors: names of half-precision tensors inside the graph.
        weights: float32 values of initializers, by name. The float32 nodes read these instead of the values rounded to
            half precision.

    Returns:
        Names of the nodes that compute in float32 now, including the casts.
    """
    return _Widening(model, frozenset(tensors), weights).run()


class _Widening:
    def __init__(
        self, model: onnx.ModelProto, tensors: frozenset[str], weights: Mapping[str, npt.NDArray[np.float32]]
    ) -> None:
        self._graph = model.graph
        self._tensors = tensors
        self._weights = weights
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self._half = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT16}
        self._initializers = {t.name: t for t in model.graph.initializer}
        self._half |= {name for name, t in self._initializers.items() if t.data_type == TensorProto.FLOAT16}
        self._nodes: list[NodeProto] = []
        self._wide: dict[str, str] = {name: name for name in tensors}
        self._changed: list[str] = []

    def run(self) -> tuple[str, ...]:
        for node in list(self._graph.node):
            if not self._tensors.isdisjoint((*node.input, *node.output)):
                self._widen(node)
            else:
                self._nodes.append(node)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        stale = [value for value in self._graph.value_info if value.name in self._tensors]
        for value in stale:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
        self._drop_unused()
        return tuple(self._changed)

    def _widen(self, node: NodeProto) -> None:
        self._changed.append(node.name)
        if node.op_type == "Cast":
            if node.output[0] in self._tensors:
                node.attribute[0].i = TensorProto.FLOAT
            self._nodes.append(node)
            return
        for i, name in enumerate(node.input):
            if name in self._half:
                node.input[i] = self._widened(name, node)
        self._nodes.append(node)
        for i, name in enumerate(node.output):
            if name in self._half and name not in self._tensors:
                node.output[i] = f"{name}_float32"
                self._cast(f"{name}_float32", name, TensorProto.FLOAT16, node)
                self._wide.setdefault(name, f"{name}_float32")

    def _widened(self, name: str, node: NodeProto) -> str:
        """Name of the float32 form of a half-precision tensor, made if it is missing."""
        if name not in self._wide:
            self._wide[name] = f"{name}_float32"
            if name in self._initializers:
                exact = self._weights.get(name, numpy_helper.to_array(self._initializers[name]))
                self._graph.initializer.append(numpy_helper.from_array(exact.astype(np.float32), f"{name}_float32"))
            else:
                self._cast(name, f"{name}_float32", TensorProto.FLOAT, node)
        return self._wide[name]

    def _cast(self, source: str, target: str, kind: int, node: NodeProto) -> None:
        name = f"{node.name}_cast_{len(self._nodes)}"
        self._changed.append(name)
        self._nodes.append(helper.make_node("Cast", [source], [target], name=name, to=kind))

    def _drop_unused(self) -> None:
        used = {name for node in self._graph.node for name in node.input}
        for tensor in [t for t in self._graph.initializer if t.name not in used]:
            self._graph.initializer.remove(tensor)
