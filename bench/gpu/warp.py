"""A graph of one warp, and what PyTorch makes of it.

There are reports of wrong GridSample in TensorRT's FP16 engines.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from mostnet.contract import write_bytes
from mostnet.export.opset import TRACED_OPSET, lower_opset
from mostnet.model.layers import Warp

_TYPES = {onnx.TensorProto.FLOAT: "FLOAT", onnx.TensorProto.FLOAT16: "HALF"}

WARPS = ("warp-fp32", "warp-fp16")

#: Wide enough that a half-precision grid would be wrong by half a pixel.
_SHAPE = (1, 8, 64, 640)
_FLOW_PX = 12.0


class OneWarp(nn.Module):
    """The network's own warp, alone."""

    def __init__(self) -> None:
        super().__init__()
        self.warp = Warp()

    def forward(self, features: Tensor, flow: Tensor) -> Tensor:
        """``features`` ``(1, C, H, W)`` sampled at each pixel plus ``flow`` float32 ``(1, 2, H, W)``."""
        warped: Tensor = self.warp(features, flow, 1)
        return warped


def tensor_types(model: onnx.ModelProto) -> dict[str, str]:
    """Type of each floating-point tensor by its name: what TensorRT 8.6 must be told."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    return {
        value.name: _TYPES[value.type.tensor_type.elem_type]
        for value in (*inferred.value_info, *inferred.output)
        if value.type.tensor_type.elem_type in _TYPES
    }


def prepare_warps(root: Path, *, opset: int) -> None:
    """Write ``warp-fp32`` and ``warp-fp16`` under ``root``: ``case.onnx``, ``types.json``, ``arrays.npz``."""
    for name, dtype in zip(WARPS, (torch.float32, torch.float16), strict=True):
        folder = root / name
        if not (folder / "types.json").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _prepare(folder, dtype, opset)


def _prepare(folder: Path, dtype: torch.dtype, opset: int) -> None:
    generator = torch.Generator().manual_seed(7)
    features = torch.randn(_SHAPE, generator=generator).to(dtype)
    flow = (torch.rand((1, 2, *_SHAPE[2:]), generator=generator) * 2 - 1) * _FLOW_PX
    module = OneWarp().eval()
    program = torch.onnx.export(
        module,
        (features, flow),
        input_names=["features", "flow"],
        output_names=["warped"],
        opset_version=TRACED_OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = lower_opset(program.model_proto, opset)
    onnx.save(model, folder / "case.onnx")
    with torch.inference_mode():
        warped = module(features.float(), flow)
    np.savez(folder / "arrays.npz", features=features.numpy(), flow=flow.numpy(), warped=warped.numpy())
    write_bytes(folder / "types.json", json.dumps(tensor_types(model)).encode())
