"""Checkpoints of MOST-NET+ and of the networks of Table I alike."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from mostnet.model.checkpoint import Checkpoint, load_checkpoint
from mostnet.model.frame import FrameModel, FrameModule
from mostnet.model.network import MostNet
from mostnet.model.stream import NetworkStream

from .baseline import Baseline
from .checkpoint import BaselineCheckpoint, is_baseline, load_baseline
from .frame import BaselineFrame

AnyCheckpoint: TypeAlias = Checkpoint | BaselineCheckpoint


def load_either(path: Path) -> AnyCheckpoint:
    """Read a checkpoint of MOST-NET+ or of a network of Table I.

    Raises:
        CheckpointError: the file cannot be used; the message says why.
        BackendNotInstalledError: a library that the network is made of is not installed, or does not fit torch.
    """
    return load_baseline(path) if is_baseline(path) else load_checkpoint(path)


def frame_module(network: MostNet | Baseline) -> FrameModule:
    """The network for uint8 frames."""
    return FrameModel(network) if isinstance(network, MostNet) else BaselineFrame(network)


def network_stream(
    network: MostNet | Baseline, *, device: str = "cpu", recurrence: bool = True, allow_tf32: bool = False
) -> NetworkStream:
    """The network on a stream of frames; the arguments are those of ``NetworkStream``.

    Raises:
        NoGpuError: the device cannot be used.
    """
    return NetworkStream(frame_module(network), device=device, recurrence=recurrence, allow_tf32=allow_tf32)
