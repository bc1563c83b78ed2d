"""The layers of a plan as TensorRT's engine inspector reports them, and the type in which each convolution runs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mostnet.contract import InspectionError

#: Type of a convolution that no layer names, and of a convolution whose layers report no type.
NOT_FOUND, UNKNOWN = "not found", "unknown"

#: Types from the narrowest to the widest, with the words for each in ``Format/Datatype`` and ``Weights``.
_WORDS = {
    "INT8": "int8",
    "FP8": "fp8|e4m3",
    "FP16": "half|fp16|float16",
    "BF16": "bf16|bfloat16",
    "FP32": "float|fp32|float32|tf32",
}

#: Operand types in the names of NVIDIA's kernels: ``sm80_xmma_gemm_i8i8_i8i32_f32_...``, first operand first.
_OPERANDS = re.compile(r"_(i8|e4m3|f16|bf16|f32|tf32)(?:i8|e4m3|e5m2|f16|bf16|f32|tf32)_")
_OPERAND_TYPES = {"i8": "INT8", "e4m3": "FP8", "f16": "FP16", "bf16": "BF16", "f32": "FP32", "tf32": "FP32"}

#: Types of layers that move data or wait. Such a layer may have the name of a convolution.
_MOVERS = ("reformat", "constant", "noop", "shuffle", "signal", "wait", "copy", "move")

_IS_CONVOLUTION = re.compile("conv|corr|gemm|fprop", re.IGNORECASE)


@dataclass(frozen=True)
class PlanLayer:
    """One layer of a plan in TensorRT's words; a field is empty if TensorRT does not report it.

    Attributes:
        name: names of the fused nodes, joined by ``+``, or a name made up by TensorRT.
        kind: type of the layer, such as ``CaskConvolution`` or ``kgen``.
        inputs: type and memory layout of each input.
        outputs: of each output.
        weights: type of the weights.
        tactic: name of the kernel.
        nodes: names of the ONNX nodes that it computes, from its metadata.
    """

    name: str
    kind: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    weights: str = ""
    tactic: str = ""
    nodes: tuple[str, ...] = ()

    @property
    def typed(self) -> bool:
        """Whether the layer reports a type."""
        return any(_type_in(text) for text in (*self.inputs, *self.outputs, self.weights))

    @property
    def computed(self) -> tuple[str, ...]:
        """Names of the ONNX nodes that it computes, from its metadata or else from its name."""
        return self.nodes or tuple(_fused(self.name))

    @property
    def narrow(self) -> str:
        """The narrowest type that it reads or writes, if that is a float type narrower than FP32; else empty."""
        kinds = {_type_in(text) for text in (*self.inputs, *self.outputs)}
        return next((kind for kind in ("FP8", "FP16", "BF16") if kind in kinds), "")

    @property
    def computes_in(self) -> str:
        """``INT8``, ``FP16``, ...: the type of its first operand, or ``UNKNOWN``.

        The kernel's name is the best source, then the weights. Without either, it is the narrowest type of the inputs,
        because the scales, biases and sums beside an INT8 operand are wider.
        """
        operand = _OPERANDS.search(self.tactic)
        if operand is not None:
            return _OPERAND_TYPES[operand.group(1)]
        if (weights := _type_in(self.weights)) is not None:
            return weights
        kinds = {_type_in(text) for text in self.inputs}
        return next((kind for kind in _WORDS if kind in kinds), UNKNOWN)

    def rank(self, node: str) -> int:
        """How likely this layer is the convolution ``node`` itself, and not a copy or a sum that was part of it.

        4: a convolution of that name; 3: a convolution whose metadata name the node; 2: another layer of that name;
        1: another layer whose metadata name the node; 0: all others.
        """
        if self.kind.lower().startswith(_MOVERS):
            return 0
        named, in_metadata = node in _fused(self.name), node in self.nodes
        if not (named or in_metadata):
            return 0
        own_name = self.name if self.name.startswith("__myl_") else ""  # other names contain names of nodes
        is_convolution = any(_IS_CONVOLUTION.search(text) for text in (self.kind, self.tactic, own_name))
        return 1 + 2 * is_convolution + named


@dataclass(frozen=True)
class Convolution:
    """One convolution of a graph in its plan.

    Attributes:
        node: its ONNX node, ``network.branches.0.head/conv2d_5``.
        asked: the type that the graph gives it, ``INT8``, ``FP16`` or ``FP32``.
        runs: the type it runs in (the widest, if it was split), ``UNKNOWN`` or ``NOT_FOUND``.
        layers: names of the layers that it was found in.
    """

    node: str
    asked: str
    runs: str
    layers: tuple[str, ...]

    @property
    def module(self) -> str:
        """Path of its module in the network."""
        return self.node.rpartition("/")[0]


def parse_layers(text: object) -> tuple[PlanLayer, ...]:
    """Read ``get_engine_information(LayerInformationFormat.JSON)`` of any version.

    Raises:
        InspectionError: the text is something else.
    """
    try:
        document = json.loads(str(text), strict=False)  # Metadata has bare control characters between nodes
    except ValueError as error:
        raise InspectionError(f"the engine inspector's answer is not JSON ({error}): {str(text)[:80]!r}") from error
    layers = document.get("Layers") if isinstance(document, dict) else None
    if not isinstance(layers, list):
        raise InspectionError(f"the engine inspector's answer has no list of layers: {str(text)[:80]!r}")
    return tuple(_layer(layer) for layer in layers)


def match_convolutions(layers: Iterable[PlanLayer], asked: Mapping[str, str]) -> tuple[Convolution, ...]:
    """Find every convolution of ``asked`` (type by ONNX node) among the layers of a plan."""
    every = tuple(layers)
    return tuple(_match(every, node, kind) for node, kind in asked.items())


def narrowed_layers(layers: Iterable[PlanLayer], wide: Collection[str]) -> tuple[PlanLayer, ...]:
    """Layers that compute float32 nodes alone, and read or write a narrower type.

    A layer that also computes other nodes, or one with a cast in the name that TensorRT made up, is left out: it may
    convert within.

    Args:
        wide: names of the ONNX nodes whose tensors are all float32.
    """
    alone = (layer for layer in layers if set(layer.computed) <= set(wide) and "Cast" not in layer.name)
    return tuple(layer for layer in alone if layer.narrow)


def _match(layers: tuple[PlanLayer, ...], node: str, asked: str) -> Convolution:
    ranks = [layer.rank(node) for layer in layers]
    best = max(ranks, default=0)
    if best == 0:
        return Convolution(node, asked, NOT_FOUND, ())
    chosen = [layer for layer, rank in zip(layers, ranks, strict=True) if rank == best]
    kinds = {layer.computes_in for layer in chosen} if best > 1 else set()  # a sum's type is not the convolution's
    order = (UNKNOWN, *reversed(_WORDS))
    runs = next((kind for kind in order if kind in kinds), UNKNOWN)
    return Convolution(node, asked, runs, tuple(layer.name for layer in chosen))


def _layer(layer: Any) -> PlanLayer:
    if not isinstance(layer, dict):  # a plan of low verbosity has only names
        return PlanLayer(name=str(layer))
    weights = layer.get("Weights")
    return PlanLayer(
        name=str(layer.get("Name", "")),
        kind=str(layer.get("LayerType", "")),
        inputs=_formats(layer.get("Inputs")),
        outputs=_formats(layer.get("Outputs")),
        weights=str(weights.get("Type", "")) if isinstance(weights, dict) else "",
        tactic=str(layer.get("TacticName", "")),
        nodes=tuple(re.findall(r"\[ONNX Layer: (.*?)\]", str(layer.get("Metadata", "")))),
    )


def _formats(tensors: Any) -> tuple[str, ...]:
    """Format and type of each tensor, from ``Format/Datatype`` or from a key for each of the two."""
    found = [tensor for tensor in tensors or () if isinstance(tensor, dict)]
    return tuple(
        " ".join(str(value) for key, value in tensor.items() if re.search("format|type", key, re.IGNORECASE))
        for tensor in found
    )


def _fused(name: str) -> list[str]:
    """The nodes in a layer's name: ``a/conv2d + PWN(a/relu, a/mul)``, ``a/conv2d_myl0_3``."""
    parts = re.split(r"[+,]", re.sub(r"PWN\(|\)", "", name))
    return [re.sub(r"_myl\d+_\d+$", "", part.strip()) for part in parts]


def _type_in(text: str) -> str | None:
    return next((kind for kind, words in _WORDS.items() if re.search(rf"\b(?:{words})\b", text, re.IGNORECASE)), None)
