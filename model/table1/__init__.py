"""The networks with which Table I of the source compares MOST-NET+: each does one task, or three of them do three.

They are made from their papers. RAFT's layers come from torchvision, the segmenters from segmentation_models_pytorch.
"""

from .baseline import Baseline, BaselinePrediction
from .checkpoint import BaselineCheckpoint, combine, is_baseline, load_baseline, save_baseline
from .combination import Combination
from .either import AnyCheckpoint, frame_module, load_either, network_stream
from .estrnn import Estrnn
from .flownet_s import FlowNetS
from .frame import BaselineFrame
from .libraries import load_table1
from .mimo_unet import MimoUNet
from .networks import NETWORKS, TABLE1, TRAINABLE, Published, build
from .raft import Raft, load_raft_weights
from .segmenters import DeepLabV3Plus, UNetPlusPlus

__all__ = [
    "NETWORKS",
    "TABLE1",
    "TRAINABLE",
    "AnyCheckpoint",
    "Baseline",
    "BaselineCheckpoint",
    "BaselineFrame",
    "BaselinePrediction",
    "Combination",
    "DeepLabV3Plus",
    "Estrnn",
    "FlowNetS",
    "MimoUNet",
    "Published",
    "Raft",
    "UNetPlusPlus",
    "build",
    "combine",
    "frame_module",
    "is_baseline",
    "load_baseline",
    "load_either",
    "load_raft_weights",
    "load_table1",
    "network_stream",
    "save_baseline",
]
