"""MOST-NET+ in PyTorch: network, variants, checkpoints, and the frame module that becomes the ONNX graph."""

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
