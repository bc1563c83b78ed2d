"""What TensorRT must build from a graph, as data: a Python without onnx and PyTorch can build and check the plan."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from mostnet.contract import ExportError, Metadata

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What to build from one graph.

    Attributes:
        metadata: description of the graph; None for a part of a network, whose plan gets no description either.
        floats: type of the float convolutions, ``fp32`` or ``fp16``.
        islands: module paths that may compute in float32 in an ``fp16`` graph.
        kept: names of further nodes that may, because their tensors leave the range of half precision.
        convolutions: ``INT8``, ``FP16`` or ``FP32``, by the ONNX node of each convolution.
        tensor_types: ``FLOAT`` or ``HALF``, by the name of each floating-point tensor.
        wide: names of the nodes of an ``fp16`` graph whose tensors are all float32.
    """

    metadata: Metadata | None = None
    floats: str
    islands: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    convolutions: Mapping[str, str] = field(default_factory=dict)
    tensor_types: Mapping[str, str] = field(default_factory=dict)
    wide: tuple[str, ...] = ()

    @property
    def int8(self) -> frozenset[str]:
        """Module paths of the INT8 convolutions."""
        return frozenset(node.rpartition("/")[0] for node, kind in self.convolutions.items() if kind == "INT8")

    @classmethod
    def of(
        cls,
        graph: onnx.ModelProto,
        *,
        metadata: Metadata | None,
        floats: str,
        islands: tuple[str, ...],
        kept: tuple[str, ...] = (),
        int8: Collection[str] = (),
    ) -> PlanRequest:
        """The request for an exported graph.

        Args:
            metadata, floats, islands, kept: see the attributes.
            int8: module paths of the INT8 convolutions.
        """
        return cls(
            metadata=metadata,
            floats=floats,
            islands=islands,
            kept=kept,
            convolutions=asked_types(graph, floats=floats, int8=int8, kept=kept),
            tensor_types=(types := tensor_types(graph)),
            wide=wide_nodes(graph, types) if floats == "fp16" else (),
        )

    def to_json(self) -> str:
        """The request as a JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, *, source: str) -> PlanRequest:
        """Read what ``to_json`` wrote; ``source`` names the file in errors.

        Raises:
            ExportError: ``text`` is something else.
            ModelFileError: the metadata is of another format.
        """
        try:
            values = json.loads(text)
            values.update({key: tuple(values[key]) for key in ("islands", "kept")})
            values["wide"] = tuple(values.get("wide", ()))  # an earlier version wrote none
            if values["metadata"] is not None:
                values["metadata"] = Metadata.from_json(json.dumps(values["metadata"]), source=source)
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ExportError(f"{source}: not a plan request ({error!r}); prepare the case again") from error


def asked_types(
    graph: onnx.ModelProto, *, floats: str, int8: Collection[str] = (), kept: Collection[str] = ()
) -> dict[str, str]:
    """``INT8``, ``FP16`` or ``FP32``, by the ONNX node of each convolution of a graph.

    Args:
        floats: type of the float convolutions, ``fp32`` or ``fp16``.
        int8: module paths of the INT8 ones.
        kept: names of nodes that are float32 in any case.
    """
    kinds = tensor_types(graph)
    asked: dict[str, str] = {}
    for node in graph.graph.node:
        if node.op_type != "Conv":
            continue
        is_int8 = node.name.rpartition("/")[0] in int8
        is_wide = node.name in kept or kinds.get(node.output[0]) == "FLOAT"  # a float32 island may hold a convolution
        asked[node.name] = "INT8" if is_int8 else "FP32" if is_wide else floats.upper()
    return asked


def tensor_types(graph: onnx.ModelProto) -> dict[str, str]:
    """``FLOAT`` or ``HALF``, by the name of each floating-point tensor: TensorRT 8.6 needs them."""
    import onnx  # only where graphs are made, not where plans are built

    kinds = {onnx.TensorProto.FLOAT: "FLOAT", onnx.TensorProto.FLOAT16: "HALF"}
    inferred = onnx.shape_inference.infer_shapes(graph).graph
    return {
        value.name: kinds[value.type.tensor_type.elem_type]
        for value in (*inferred.value_info, *inferred.output)
        if value.type.tensor_type.elem_type in kinds
    }


def wide_nodes(graph: onnx.ModelProto, types: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the nodes whose floating-point tensors are all float32. Casts and quantisers are left out.

    Args:
        types: what ``tensor_types`` returns for the graph.
    """
    changers = ("Cast", "QuantizeLinear", "DequantizeLinear")
    return tuple(
        node.name
        for node in graph.graph.node
        if node.op_type not in changers and {types[name] for name in node.output if name in types} == {"FLOAT"}
    )
