"""Reads which tensors an exported graph has, and what its plan was built by."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import onnx

from mostnet.contract import ONNX_KEY, ExportError, Metadata, PlanInfo, TensorSpec
from mostnet.engine.ort.file import check_onnx_file
from mostnet.engine.tensor_check import check_tensors
from mostnet.engine.tensorrt.checks import read_plan_info


@dataclass(frozen=True)
class Signature:
    """The tensors of a graph, in graph order.

    Attributes:
        metadata: the description in the file; ``states`` says which inputs and outputs are one state.
        inputs, outputs: all tensors, those of the states among them.
    """

    metadata: Metadata
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def read_signature(path: Path) -> Signature:
    """Read the tensors of an ONNX file that mostnet-export wrote.

    Raises:
        ExportError: the file was not made by mostnet-export.
        ModelFileError: it is damaged, or its tensors are not those of its description.
    """
    check_onnx_file(path)
    model = onnx.load(path, load_external_data=False)
    text = next((entry.value for entry in model.metadata_props if entry.key == ONNX_KEY), None)
    if text is None:
        raise ExportError(f"{path}: has no description of mostnet; name a file that mostnet-export made")
    metadata = Metadata.from_json(text, source=str(path))
    inputs = tuple(_spec(value) for value in model.graph.input)
    outputs = tuple(_spec(value) for value in model.graph.output)
    check_tensors(path, metadata, set(inputs), set(outputs))
    return Signature(metadata, inputs, outputs)


def read_served_plan(plan: Path, graph: Signature) -> PlanInfo | None:
    """The description of a plan; None if it is one of TensorRT for RTX, which Triton does not load.

    Raises:
        ExportError: the plan was built from another graph.
        ModelFileError: the plan is damaged, or its description is missing.
    """
    info = read_plan_info(plan)
    # A build adds the version of TensorRT to the tools, and changes nothing else.
    common = [field.name for field in fields(Metadata) if field.name != "tools"]
    differing = [name for name in common if getattr(info, name) != getattr(graph.metadata, name)]
    if differing:
        raise ExportError(f"{plan}: was built from another graph: {', '.join(differing)} differ; export both again")
    return info if info.flavour == "tensorrt" else None


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(axis.dim_value for axis in kind.shape.dim)
    return TensorSpec(value.name, shape, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).name)
