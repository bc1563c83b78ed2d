"""Tests trace each network once for each size and precision, because that takes seconds.

So a test that changes the code of the network must not come here: it would get the graph of the unchanged code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

from mostnet.model import FrameModel

_export = torch.onnx.export
_traced: dict[str, bytes] = {}


@pytest.fixture(scope="session", autouse=True)
def trace_once() -> Iterator[None]:
    """PyTorch's exporter gives a copy of its earlier answer to the same question. All that follows runs every time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", _export_once)
        yield


def _export_once(module: nn.Module, inputs: tuple[Tensor, ...], **options: Any) -> Any:
    if not isinstance(module, FrameModel):
        return _export(module, inputs, **options)
    key = _digest(module, inputs, options)
    if key not in _traced:
        program = _export(module, inputs, **options)
        assert program is not None
        _traced[key] = program.model_proto.SerializeToString()
    return SimpleNamespace(model_proto=onnx.ModelProto.FromString(_traced[key]))


def _digest(module: FrameModel, inputs: tuple[Tensor, ...], options: dict[str, Any]) -> str:
    """Of all that a trace depends on: sizes and weights of the network, types of the inputs, and options."""
    digest = hashlib.sha256(repr((module.network.config, module.training, sorted(options.items()))).encode())
    for name, value in module.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    for value in inputs:
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
    return digest.hexdigest()
