"""The threads of PyTorch."""

from __future__ import annotations

import torch

from mostnet.contract.cores import default_threads


def limit_torch_threads() -> None:
    """Keep PyTorch from using more threads than the CPU limit of a container allows; it knows only the affinity."""
    if torch.get_num_threads() > default_threads():
        torch.set_num_threads(default_threads())
