"""MOST-NET+ in PyTorch: the network, its variants, its checkpoints, and the frame module that is exported."""

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .config import STRIDES, VARIANTS, ModelConfig
from .flow import Matching
from .frame import FrameModel
from .initialise import initial_checkpoint
from .network import MostNet, Prediction, ScalePrediction, State
from .shipped import checkpoint_path
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
    "checkpoint_path",
    "initial_checkpoint",
    "load_checkpoint",
    "save_checkpoint",
]
