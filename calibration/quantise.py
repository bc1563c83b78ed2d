"""INT8 convolutions: ONNX Runtime's quantiser puts Q/DQ nodes around them."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto

from mostnet.contract import CalibrationError

from .runtime import require_onnxruntime
from .scales import check_scales

#: Symmetric INT8 inputs and weights. Biases and outputs stay float, so that TensorRT fuses what follows a convolution.
_OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": ["Conv"],
    "QDQKeepRemovableActivations": True,
}


#: Modules that ``EXACT_PIXELS`` is about.
_EXACT = {"read", "shrink", "upsample", "gradient_step"}

#: Why a convolution is not worth quantising.
EXACT_PIXELS = "moves, averages or compares pixels: INT8 would spoil its exact result"
SINGLE_CELL = "makes a single cell: it takes no time, and its error would reach every pixel"


def module_path(node: NodeProto) -> str:
    """The module of a node of an exported graph, such as ``network.branches.0.head``."""
    return str(node.name).rpartition("/")[0]


def convolutions(model: onnx.ModelProto) -> dict[str, NodeProto]:
    """The convolutions worth quantising, by module path, in graph order: all but those of ``unsuitable``."""
    left_out = unsuitable(model)
    return {name: node for name, node in _all_convolutions(model).items() if name not in left_out}


def unsuitable(model: onnx.ModelProto) -> dict[str, str]:
    """The convolutions that are not worth quantising, by module path, in graph order, each with the reason."""
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    found = {}
    for name, node in _all_convolutions(model).items():
        if name.rpartition(".")[2] in _EXACT:
            found[name] = EXACT_PIXELS
        elif shapes.get(node.output[0], [])[2:] == [1, 1]:
            found[name] = SINGLE_CELL
    return found


def _all_convolutions(model: onnx.ModelProto) -> dict[str, NodeProto]:
    return {module_path(node): node for node in model.graph.node if node.op_type == "Conv"}


def excluded_by(patterns: Sequence[str], modules: Sequence[str], states: Sequence[str] = ()) -> tuple[str, ...]:
    """The modules and states that a pattern names, as a whole path, a part of one between dots, or a shell wildcard.

    Raises:
        CalibrationError: a pattern matches none.
    """
    names = [*modules, *states]
    chosen: set[str] = set()
    for pattern in patterns:
        hits = {name for name in names if _matches(pattern, name)}
        if not hits:
            and_no_state = f", and no state of {', '.join(states)}" if states else ""
            raise CalibrationError(
                f"--exclude {pattern}: matches no convolution{and_no_state}; "
                f"convolutions are called {', '.join(modules[:3])}, ..."
            )
        chosen |= hits
    return tuple(name for name in names if name in chosen)


def quantise(model: onnx.ModelProto, thresholds: Mapping[str, float]) -> onnx.ModelProto:
    """A copy of a float graph with INT8 convolutions. All other nodes keep their types, and read unrounded tensors.

    Args:
        model: a graph whose tensors are float32 or, from opset 19, float16.
        thresholds: the magnitude of the input that becomes 127, by module path of each convolution to quantise.

    Raises:
        CalibrationError: nothing to quantise, or a half-precision graph below opset 19.
        BackendNotInstalledError: ONNX Runtime is missing.
    """
    require_onnxruntime()
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import TensorData, TensorsData  # there in all versions

    nodes = [node for name, node in convolutions(model).items() if name in thresholds]
    if not nodes:
        raise CalibrationError("no convolution is left to quantise; exclude fewer, or export with --fp16")
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    check_scales(model, {"float16"} if TensorProto.FLOAT16 in types.values() else ())
    bounds: dict[str, float] = {}  # by tensor: several convolutions may read one
    for node in nodes:
        bounds[node.input[0]] = max(thresholds[module_path(node)], bounds.get(node.input[0], 0.0))
    kinds = {node.input[0]: np.float16 if types[node.input[1]] == TensorProto.FLOAT16 else np.float32 for node in nodes}
    ranges = {
        name: TensorData(lowest=np.array(-bound, kinds[name]), highest=np.array(bound, kinds[name]))
        for name, bound in bounds.items()
    }
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with _quiet():
        quantiser = QDQQuantizer(
            copy,
            True,
            False,
            QuantType.QInt8,
            QuantType.QInt8,
            TensorsData(CalibrationMethod.MinMax, ranges),
            [node.name for node in nodes],
            [],
            ["Conv"],
            dict(_OPTIONS),
        )
        quantiser.quantize_model()
        quantiser.model.topological_sort()
    _spare_others(quantiser.model.model.graph, {node.name for node in nodes})
    return _cleaned(quantiser.model.model, model)


def _spare_others(graph: GraphProto, quantised: Collection[str]) -> None:
    """Give rounded tensors to the convolutions named in ``quantised``, and to no other node.

    The quantiser gives them to every reader of the same tensor: to the identity path of a residual block, and to
    convolutions that stay float.
    """
    makers = {name: node for node in graph.node for name in node.output}
    exact: dict[str, str] = {}
    for node in graph.node:
        maker = makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if maker is not None and maker.op_type == "QuantizeLinear":
            exact[node.output[0]] = maker.input[0]
    for node in graph.node:
        if node.name not in quantised:
            for i, name in enumerate(node.input):
                node.input[i] = exact.get(name, name)


def _matches(pattern: str, name: str) -> bool:
    inside = f".{name}."
    return fnmatch.fnmatchcase(name, pattern) or f".{pattern}." in inside


def _cleaned(quantised: onnx.ModelProto, model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the quantiser's own metadata: a graph describes itself only in our property."""
    quantised.producer_name, quantised.producer_version = model.producer_name, model.producer_version
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(model.metadata_props)
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser's advice on the root logger."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
