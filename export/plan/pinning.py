"""Precision constraints for TensorRT 8.6, whose networks do not take their precision from the ONNX types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mostnet.contract import ExportError

#: Layers that only move data. TensorRT 8.6 fuses them with each other and with constants, and the fused layer then may
#: have no implementation of a pinned type.
_MOVERS = ("SHUFFLE", "SLICE", "CONCATENATION", "GATHER", "PADDING")

#: Layers that get no type: a constant is fused into what reads it, and a cast carries its type in the network.
_UNTYPED = ("CONSTANT", "IDENTITY", "CAST")


def pin_types(trt: Any, network: Any, config: Any, tensor_types: Mapping[str, str]) -> list[Any]:
    """Give every layer that computes the precision of its ONNX tensors, and have TensorRT obey.

    Without this, TensorRT 8.6 keeps no float32 island. It also needs a layer in float32 that only moves data: left
    free, TensorRT moved the coordinates of a warp in half precision, and the warp was wrong by 0.7 (H200).

    Returns:
        the layers that only move data and were given float32, for ``prefer_types``.

    Raises:
        ExportError: a convolution or matrix product could not be pinned to its type, or a sampling to float32.
    """
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    kinds = {"FLOAT": trt.float32, "HALF": trt.float16}
    wanted = {name: kinds[kind] for name, kind in tensor_types.items()}
    movers, untyped = ({getattr(trt.LayerType, name) for name in names} for names in (_MOVERS, _UNTYPED))
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    moved = []
    for layer in layers:
        if layer.type in untyped:
            continue
        outputs = [layer.get_output(j) for j in range(layer.num_outputs)]
        if layer.type not in movers:
            _pin(layer, [wanted.get(tensor.name) for tensor in outputs])
        # The parser moves constants with layers of its own, whose tensors the ONNX does not name.
        elif all(wanted.get(tensor.name, tensor.dtype) == trt.float32 for tensor in outputs):
            _pin(layer, [trt.float32 for _ in outputs])
            moved.append(layer)
    products = (trt.LayerType.CONVOLUTION, trt.LayerType.MATRIX_MULTIPLY)
    must = [(layer, wanted.get(layer.get_output(0).name, trt.float16)) for layer in layers if layer.type in products]
    must += [(layer, trt.float32) for layer in layers if layer.type == trt.LayerType.GRID_SAMPLE]
    wrong = [layer.name for layer, kind in must if not _has_type(layer, kind)]
    if wrong:
        raise ExportError(f"{trt.__name__} {trt.__version__}: precision could not be pinned for {', '.join(wrong[:5])}")
    return moved


def _has_type(layer: Any, kind: Any) -> bool:
    return bool(layer.precision_is_set and layer.precision == kind)  # an unset precision reads as float32


def prefer_types(trt: Any, config: Any, moved: Iterable[Any]) -> None:
    """Let TensorRT leave the pinned type of a layer that has no implementation in it, instead of failing.

    The layers ``moved`` lose their types, because TensorRT 8.6 fails on some of them even so.
    """
    for layer in moved:
        layer.reset_precision()
        for j in range(layer.num_outputs):
            layer.reset_output_type(j)
    config.clear_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)


def _pin(layer: Any, types: list[Any]) -> None:
    """Pin a layer to the type of each output. None leaves an output, such as one of truth values, as it is."""
    for j, kind in enumerate(types):
        if kind is not None:
            layer.set_output_type(j, kind)
    if any(kind is not None for kind in types):
        layer.precision = next(kind for kind in types if kind is not None)
