"""Check that the network which TensorRT parsed is the requested one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from mostnet.contract import ExportError

from .flavour import strongly_typed
from .request import PlanRequest

#: Largest number of problems that the error names. It counts the rest.
_SHOWN = 5


def check_network(trt: Any, network: Any, request: PlanRequest) -> None:
    """Refuse a parsed network that would give wrong results or run slowly.

    Every GridSample must be linear, aligned to corners, clamped, and in float32. In an ``fp16`` network, convolutions
    and matrix products must be float32 in ``request.islands`` and half precision elsewhere. Nothing else may be float32
    outside the islands, except the ONNX nodes named in ``request.kept``. The convolutions of the modules
    ``request.int8``, and no others, must be INT8.

    Raises:
        ExportError: names the first problems and counts them.
    """
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    problems = [problem for layer in layers for problem in _sampling_problems(trt, layer)]
    if request.floats == "fp16" and strongly_typed(trt):  # older versions get their types after parsing
        checked = [layer for layer in layers if not _is_of(layer, request.kept)]
        problems += [problem for layer in checked for problem in _type_problems(trt, layer, request.islands)]
    problems += _int8_problems(trt, layers, request.int8)
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise ExportError(
            f"{trt.__name__} {trt.__version__} parsed the graph into something other than requested: "
            + "; ".join(problems[:_SHOWN])
            + more
        )


def _sampling_problems(trt: Any, layer: Any) -> Iterator[str]:
    if layer.type != trt.LayerType.GRID_SAMPLE:
        return
    layer.__class__ = trt.IGridSampleLayer  # the bindings downcast a layer this way
    if layer.interpolation_mode != trt.InterpolationMode.LINEAR:
        yield f"{layer.name} samples {layer.interpolation_mode}, not linear: export at opset 17 or 19"
    if not layer.align_corners or layer.sample_mode != trt.SampleMode.CLAMP:
        yield f"{layer.name} samples with align_corners={layer.align_corners} and {layer.sample_mode}"
    kinds = {layer.get_input(i).dtype for i in range(2)}
    if kinds != {trt.float32}:
        yield f"{layer.name} samples in {_names(kinds)}, not float32"


def _type_problems(trt: Any, layer: Any, islands: tuple[str, ...]) -> Iterator[str]:
    outputs = {layer.get_output(i).dtype for i in range(layer.num_outputs)}
    inputs = {layer.get_input(i).dtype for i in range(layer.num_inputs) if layer.get_input(i) is not None}
    is_inside = any(f" {island}/" in layer.metadata or layer.name.startswith(f"{island}/") for island in islands)
    if layer.type in (trt.LayerType.CONVOLUTION, trt.LayerType.MATRIX_MULTIPLY):
        wanted = trt.float32 if is_inside else trt.float16
        if inputs | outputs != {wanted}:
            name = "float32" if is_inside else "float16"
            yield f"{layer.name} computes in {_names(inputs | outputs)}, not {name}"
        return
    if is_inside:
        return
    # Constants and their reshaping move no data at run time.
    if trt.float32 in outputs and layer.type not in (trt.LayerType.CONSTANT, trt.LayerType.SHUFFLE):
        yield f"{layer.name} is float32 outside the float32 islands"


def _is_of(layer: Any, nodes: Collection[str]) -> bool:
    return layer.name in nodes or any(f" {node}]" in layer.metadata for node in nodes)


def _int8_problems(trt: Any, layers: list[Any], wanted: Collection[str]) -> Iterator[str]:
    """A convolution is INT8 if both its input and its weights come from a DequantizeLinear."""
    makers = {layer.get_output(i).name: layer for layer in layers for i in range(layer.num_outputs)}
    for layer in layers:
        if layer.type != trt.LayerType.CONVOLUTION:
            continue
        inputs = [layer.get_input(i) for i in range(2)]  # None if the weights are not a tensor
        sources = [None if tensor is None else makers.get(tensor.name) for tensor in inputs]
        is_int8 = all(source is not None and source.type == trt.LayerType.DEQUANTIZE for source in sources)
        if is_int8 != (layer.name.rpartition("/")[0] in wanted):
            yield f"{layer.name} is {'INT8' if is_int8 else 'not INT8'}"


def _names(kinds: set[Any]) -> str:
    return " and ".join(sorted(str(kind).rpartition(".")[2].lower() for kind in kinds))
