"""Weights from a file: they must fit a config before a network is made of them."""

from __future__ import annotations

from pathlib import Path
from reprlib import Repr
from typing import Any

import torch
from torch import Tensor

from mostnet.contract import CheckpointError

from .config import ModelConfig
from .network import MostNet

#: Parts of a name that DataParallel, AveragedModel and ``torch.compile`` add, around the network or a part of it.
_WRAPPERS = {"module", "_orig_mod"}
#: An entry that AveragedModel adds, which is no weight.
_COUNT = "n_averaged"

_REPR = Repr()
_REPR.maxstring = _REPR.maxother = 120


def shown(value: object) -> str:
    """A value from a file, short enough for an error message."""
    return _REPR.repr(value)


def network_of(config: Any, path: Path) -> MostNet:
    """A network without memory for its weights.

    Raises:
        CheckpointError: no such config.
    """
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: config of the checkpoint must be a dictionary; save it again")
    try:
        with torch.device("meta"):
            return MostNet(ModelConfig.from_dict(config))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: this mostnet does not support its config ({error})") from error


def plain_weights(weights: Any, path: Path) -> dict[str, Tensor]:
    """The weights under the names that ``MostNet`` gives them, all dense, real and on the CPU.

    Raises:
        CheckpointError: no such weights, or they claim more bytes than the file has.
    """
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise CheckpointError(
            f"{path}: weights of the checkpoint must be a dictionary of tensors by name; save it again"
        )
    weights = {name: value for name, value in weights.items() if name.rpartition(".")[2] != _COUNT}
    for name, value in weights.items():
        if not _is_plain(value):
            raise CheckpointError(f"{path}: weight {shown(name)} is not a dense tensor of real numbers; save it again")
    claimed, size = sum(value.numel() * value.element_size() for value in weights.values()), path.stat().st_size
    if claimed > size:  # a tensor may repeat a few bytes
        raise CheckpointError(f"{path}: the weights claim {claimed} bytes, and the file has {size}; save it again")
    plain: dict[str, Tensor] = {}
    for name, value in weights.items():
        short = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
        if short in plain:
            raise CheckpointError(f"{path}: weight {shown(short)} is there twice, under two prefixes; save it again")
        plain[short] = value.detach()
    return plain


def check_fit(weights: dict[str, Tensor], wanted: dict[str, tuple[int, ...]], path: Path) -> None:
    """Compare names and shapes with those that the config wants, and refuse numbers that are not finite.

    Raises:
        CheckpointError: says what does not fit.
    """
    if wanted.keys() != weights.keys():
        missing, unknown = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
        raise CheckpointError(
            f"{path}: the weights do not fit the config: {len(missing)} missing {shown(missing[:3])}, "
            f"{len(unknown)} unknown {shown(unknown[:3])}"
        )
    for name, shape in wanted.items():
        found = tuple(weights[name].shape)
        if found != shape:
            raise CheckpointError(f"{path}: weight {name} has shape {found}, the config wants {shape}")
    for name, value in weights.items():
        if not bool(torch.isfinite(value.float()).all()):
            raise CheckpointError(f"{path}: weight {name} is not finite; training diverged, use an earlier checkpoint")


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_nested
        and value.is_floating_point()
    )
