"""RAFT as a flow method, in PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from mostnet.contract import CheckpointError, Frame, NoGpuError
from mostnet.contract.metrics import Flow
from mostnet.model.table1 import Raft, build, is_baseline, load_baseline, load_raft_weights
from mostnet.model.threads import TorchThreads


class RaftFlow:
    """Flow between two pictures by RAFT."""

    def __init__(self, weights: Path, *, device: str, threads: int | None) -> None:
        """Load the weights; see ``methods.raft_method``."""
        if device == "cuda" and not torch.cuda.is_available():
            raise NoGpuError("PyTorch finds no CUDA device; use --device cpu, or install a CUDA build of torch")
        self._threads = TorchThreads(threads)
        chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self._device = torch.device(chosen)
        self._network = _load(weights).to(self._device).eval()

    @torch.inference_mode()
    def __call__(self, first: Frame, second: Frame) -> Flow:
        """Flow from each pixel of ``first`` to its place in ``second``, both uint8 ``(H, W, 3)`` BGR.

        Raises:
            FrameError: the pictures are too small for RAFT.
        """
        self._threads.follow()
        current, other = self._tensor(first), self._tensor(second)
        prediction, _ = self._network.step(current, self._network.history(other))
        flow: Flow = prediction.flow[0].cpu().numpy()
        return flow

    def _tensor(self, picture: Frame) -> Tensor:
        return torch.from_numpy(picture).to(self._device).permute(2, 0, 1)[None].float() / 255


def _load(weights: Path) -> Raft:
    if not weights.is_file():
        raise CheckpointError(
            f"{weights}: no such file; give torchvision's raft_large weights, or a checkpoint of ours"
        )
    if is_baseline(weights):
        loaded = load_baseline(weights)
        if not isinstance(loaded.model, Raft):
            raise CheckpointError(f"{weights}: holds {loaded.name}; flow labels need raft")
        return loaded.model
    network = cast(Raft, build("raft"))
    load_raft_weights(network, weights)
    return network
