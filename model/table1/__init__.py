"""The networks with which Table I of the source compares MOST-NET+: each does one task, or three of them do three.

They are made from their papers. RAFT's layers come from torchvision, the segmenters from segmentation_models_pytorch.

Modules are imported only when a name is used, so that the names of the networks are known without PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mostnet.contract.lazy import lazy_names

if TYPE_CHECKING:
    from .baseline import Baseline, BaselinePrediction
    from .checkpoint import BaselineCheckpoint, combine, is_baseline, load_baseline, save_baseline
    from .combination import Combination
    from .either import AnyCheckpoint, frame_module, load_either, network_stream
    from .estrnn import Estrnn
    from .flownet_s import FlowNetS
    from .frame import BaselineFrame
    from .libraries import load_table1
    from .mimo_unet import MimoUNet
    from .networks import NETWORKS, build
    from .published import TABLE1, TRAINABLE, Published
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

__getattr__ = lazy_names(
    __name__,
    {
        "NETWORKS": "networks",
        "TABLE1": "published",
        "TRAINABLE": "published",
        "AnyCheckpoint": "either",
        "Baseline": "baseline",
        "BaselineCheckpoint": "checkpoint",
        "BaselineFrame": "frame",
        "BaselinePrediction": "baseline",
        "Combination": "combination",
        "DeepLabV3Plus": "segmenters",
        "Estrnn": "estrnn",
        "FlowNetS": "flownet_s",
        "MimoUNet": "mimo_unet",
        "Published": "published",
        "Raft": "raft",
        "UNetPlusPlus": "segmenters",
        "build": "networks",
        "combine": "checkpoint",
        "frame_module": "either",
        "is_baseline": "checkpoint",
        "load_baseline": "checkpoint",
        "load_either": "either",
        "load_raft_weights": "raft",
        "load_table1": "libraries",
        "network_stream": "either",
        "save_baseline": "checkpoint",
    },
)
