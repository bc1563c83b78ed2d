"""The networks of Table I by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mostnet.contract import MostnetError

from .baseline import Baseline
from .combination import Combination
from .estrnn import Estrnn
from .flownet_s import FlowNetS
from .mimo_unet import MimoUNet
from .raft import Raft
from .segmenters import DeepLabV3Plus, UNetPlusPlus

NETWORKS: Mapping[str, type[Baseline]] = {
    network.name: network for network in (FlowNetS, Raft, MimoUNet, Estrnn, UNetPlusPlus, DeepLabV3Plus, Combination)
}


def build(name: str, *, seed: int = 0) -> Baseline:
    """An untrained network whose weights depend only on ``name`` and ``seed``, in evaluation mode, without gradients.

    Raises:
        MostnetError: there is no such network.
        BackendNotInstalledError: a library that the network is made of is not installed, or does not fit torch.
    """
    if name not in NETWORKS:
        raise MostnetError(f"no network of Table I is called {name!r}; choose one of {', '.join(NETWORKS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[name]()
    return network.eval().requires_grad_(False)
