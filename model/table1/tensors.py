"""Weights of a file whose batch normalisations also count their batches: the counts are the only whole numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mostnet.contract import CheckpointError
from mostnet.model.weights import plain_weights, shown

_COUNT = "num_batches_tracked"


def split_counts(document: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The weights, checked, and the counts of batches, by name.

    Raises:
        CheckpointError: not a dictionary of dense tensors, or a count is not a whole number.
    """
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: the weights must be a dictionary of tensors by name; save it again")
    counted = {name: value for name, value in document.items() if isinstance(name, str) and name.endswith(_COUNT)}
    weights = plain_weights({name: value for name, value in document.items() if name not in counted}, path)
    return weights, {name: _count(name, value, path) for name, value in counted.items()}


def with_counts(
    weights: dict[str, Tensor], counts: dict[str, int], own: dict[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """A state_dict in float32 for a network whose state_dict is ``own``.

    Raises:
        CheckpointError: a count is missing, or the network has no such count.
    """
    wanted = {name for name in own if name.endswith(_COUNT)}
    if wanted != counts.keys():
        raise CheckpointError(
            f"{path}: the weights do not fit: counts of batches {shown(sorted(wanted ^ counts.keys())[:3])} are "
            "missing or unknown; save it again"
        )
    floats = {name: value.float() for name, value in weights.items()}
    return {**floats, **{name: torch.tensor(count) for name, count in counts.items()}}


def _count(name: str, value: Any, path: Path) -> int:
    if not isinstance(value, Tensor) or value.dtype != torch.int64 or value.dim() or value.device.type != "cpu":
        raise CheckpointError(f"{path}: {shown(name)} is not a whole number; save it again")
    return int(value)
