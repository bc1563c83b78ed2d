"""Checkpoint -> ONNX: trace the frame module, name its nodes after their modules, add the metadata."""

from __future__ import annotations

import ast
import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from mostnet.contract import (
    ENHANCED,
    FINITE,
    FLOW,
    FRAME,
    MASK,
    ONNX_DIGEST_KEY,
    ONNX_KEY,
    ExportError,
    Metadata,
    atomic_path,
)
from mostnet.contract.versions import known_versions
from mostnet.engine.ort.file import onnx_digest
from mostnet.model.frame import FrameModule
from mostnet.model.layers import Float32Island
from mostnet.model.table1 import AnyCheckpoint, frame_module

from .opset import lower_opset
from .options import SUPPORTED_OPSETS, TRACED_OPSET

_TORCH_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
_NUMPY_DTYPES = {"fp32": "float32", "fp16": "float16"}
_SCOPES = "pkg.torch.onnx.name_scopes"


def build_graph(
    checkpoint: AnyCheckpoint, *, size_hw: tuple[int, int], precision: str, opset: int, checkpoint_sha256: str
) -> onnx.ModelProto:
    """The ONNX graph of a checkpoint for one frame size, checked, with its metadata.

    Args:
        size_hw: frame height and width in pixels.
        precision: ``fp32``, or ``fp16``: half-precision tensors with float32 islands (``Float32Island``).
        opset: one of ``SUPPORTED_OPSETS``.

    Raises:
        FrameError: the size is too small.
        ExportError: no such precision or opset.
    """
    if precision not in _TORCH_DTYPES:
        raise ExportError(f"precision {precision!r} cannot be exported; choose one of {', '.join(_TORCH_DTYPES)}")
    if opset not in SUPPORTED_OPSETS:
        raise ExportError(f"opset {opset} cannot be exported; choose one of {', '.join(map(str, SUPPORTED_OPSETS))}")
    states = checkpoint.model.state_pairs(size_hw, dtype=_NUMPY_DTYPES[precision])
    module = frame_module(copy.deepcopy(checkpoint.model).to(_TORCH_DTYPES[precision])).eval()
    _check_finite(module, precision)
    frame = torch.zeros((1, *size_hw, 3), dtype=torch.uint8)
    names_in = [FRAME, *(pair.input.name for pair in states)]
    names_out = [ENHANCED, FLOW, MASK, FINITE, *(pair.output.name for pair in states)]
    model = trace(module, (frame, *module.zero_state(size_hw)), names_in, names_out, opset=opset)
    metadata = Metadata(
        variant=checkpoint.variant,
        size_hw=size_hw,
        precision=precision,
        opset=opset,
        trained=checkpoint.training is not None,
        states=states,
        checkpoint_sha256=checkpoint_sha256,
        tools=known_versions(("mostnet", "torch", "onnx")),
    )
    onnx.helper.set_model_props(model, {ONNX_KEY: metadata.to_json()})
    onnx.checker.check_model(model, full_check=True)
    return model


def trace(
    module: nn.Module, inputs: tuple[Tensor, ...], names_in: list[str], names_out: list[str], *, opset: int
) -> onnx.ModelProto:
    """The ONNX graph of a module for inputs of these shapes and types, with nodes named after its submodules."""
    with _quiet("torch.onnx"):
        program = torch.onnx.export(
            module,
            inputs,
            input_names=names_in,
            output_names=names_out,
            opset_version=TRACED_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _name_nodes(model)
    return lower_opset(model, opset)


def graph_metadata(model: onnx.ModelProto) -> Metadata:
    """The metadata of a graph that ``build_graph`` made."""
    text = next(p.value for p in model.metadata_props if p.key == ONNX_KEY)
    return Metadata.from_json(text, source="the exported graph")


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph atomically, with a digest by which an engine detects changes."""
    properties = {p.key: p.value for p in model.metadata_props if p.key != ONNX_DIGEST_KEY}
    with atomic_path(path) as temporary:
        onnx.save(model, temporary)
        onnx.helper.set_model_props(model, {**properties, ONNX_DIGEST_KEY: onnx_digest(temporary)})
        onnx.save(model, temporary)


def float32_islands(checkpoint: AnyCheckpoint) -> tuple[str, ...]:
    """Module paths, as in node names, that stay float32 in a half-precision graph."""
    modules = frame_module(checkpoint.model).named_modules()
    return tuple(name for name, module in modules if isinstance(module, Float32Island))


def _check_finite(module: FrameModule, precision: str) -> None:
    for name, weight in module.get_submodule("network").named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise ExportError(f"weight {name} does not fit {precision}: it becomes infinite; export it with --fp32")


def _name_nodes(model: onnx.ModelProto) -> None:
    """Name each node ``module.path/node``, and drop the tracer's notes, which hold source paths of this machine."""
    for node in model.graph.node:
        scopes = next((p.value for p in node.metadata_props if p.key == _SCOPES), "['', '']")
        module = ast.literal_eval(scopes)[-2]
        node.name = f"{module or 'frame'}/{node.name.removeprefix('node_')}"
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]


@contextmanager
def _quiet(logger_name: str) -> Iterator[None]:
    """Silence the exporter's notes on optional packages and on its own deprecations."""
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
