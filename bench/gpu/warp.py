"""A graph of one warp, and its result in PyTorch.

It tests GridSample, which is reported to be wrong in some FP16 engines of TensorRT.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from mostnet.contract import write_text
from mostnet.export.graph import trace
from mostnet.export.plan.request import PlanRequest
from mostnet.model.layers import Warp

from .cases import GRAPH, REQUEST

#: Name of each warp's folder, and its precision.
WARPS = {"warp-fp32": "fp32", "warp-fp16": "fp16"}

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


def prepare_warps(root: Path, *, opset: int) -> None:
    """Write ``warp-fp32`` and ``warp-fp16`` under ``root``: graph, request for a plan, and ``arrays.npz``."""
    for name, precision in WARPS.items():
        folder = root / name
        if not (folder / REQUEST).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _prepare(folder, precision, opset)


def _prepare(folder: Path, precision: str, opset: int) -> None:
    generator = torch.Generator().manual_seed(7)
    features = torch.randn(_SHAPE, generator=generator)
    features = features.half() if precision == "fp16" else features
    flow = (torch.rand((1, 2, *_SHAPE[2:]), generator=generator) * 2 - 1) * _FLOW_PX
    module = OneWarp().eval()
    model = trace(module, (features, flow), ["features", "flow"], ["warped"], opset=opset)
    onnx.save(model, folder / GRAPH)
    with torch.inference_mode():
        warped = module(features.float(), flow)
    np.savez(folder / "arrays.npz", features=features.numpy(), flow=flow.numpy(), warped=warped.numpy())
    request = PlanRequest.of(model, metadata=None, floats=precision, islands=("warp",))
    write_text(folder / REQUEST, request.to_json())
