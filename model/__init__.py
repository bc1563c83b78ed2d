"""MOST-NET+ in PyTorch: network, variants, checkpoints, and the frame module that becomes the ONNX graph.

Modules are imported only when a name is used, so that the names of the variants are known without PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mostnet.contract.lazy import lazy_names

if TYPE_CHECKING:
    from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from .config import STRIDES, VARIANTS, ModelConfig
    from .flow import Matching
    from .frame import FrameModel
    from .initialise import initial_checkpoint
    from .network import MostNet, Prediction, ScalePrediction, State
    from .stream import NetworkStream, StreamOutput

__all__ = [
    "STRIDES",
    "VARIANTS",
    "Checkpoint",
    "FrameModel",
    "Matching",
    "ModelConfig",
    "MostNet",
    "NetworkStream",
    "Prediction",
    "ScalePrediction",
    "State",
    "StreamOutput",
    "initial_checkpoint",
    "load_checkpoint",
    "save_checkpoint",
]

__getattr__ = lazy_names(
    __name__,
    {
        "STRIDES": "config",
        "VARIANTS": "config",
        "Checkpoint": "checkpoint",
        "FrameModel": "frame",
        "Matching": "flow",
        "ModelConfig": "config",
        "MostNet": "network",
        "NetworkStream": "stream",
        "Prediction": "network",
        "ScalePrediction": "network",
        "State": "network",
        "StreamOutput": "stream",
        "initial_checkpoint": "initialise",
        "load_checkpoint": "checkpoint",
        "save_checkpoint": "checkpoint",
    },
)
