"""Checkpoints: one ``.pt`` file with format version, variant, config, weights and an optional training record."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mostnet.contract import CheckpointError, atomic_path

from .config import VARIANTS, ModelConfig
from .network import ColourMap, MostNet

FORMAT = "mostnet-checkpoint"
FORMAT_VERSION = 2
#: Prefix of the weights that networks of format 1 did not have.
_COLOUR_MAP = "colour."


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights and their origin.

    Attributes:
        variant: ``sw``, ``dw``, ``nano``, or another name for another config.
        model: the network, float32, on the CPU, in evaluation mode.
        training: record of the training run in plain Python values; None for initial weights.
    """

    variant: str
    model: MostNet
    training: dict[str, Any] | None = None


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint atomically: an interrupted write leaves an earlier file as it was."""
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "variant": checkpoint.variant,
        "config": checkpoint.model.config.to_dict(),
        "weights": checkpoint.model.state_dict(),
        "training": checkpoint.training,
    }
    with atomic_path(path) as temporary:
        torch.save(document, temporary)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint without running code that it may hold.

    A checkpoint of format 1 becomes a network of format 2 that computes the same.

    Raises:
        CheckpointError: the file is missing, truncated, not a checkpoint, holds code, is of another format version, or
            its weights do not fit its config; the message says which.
    """
    document = _read(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: a PyTorch file, but not a mostnet checkpoint (no 'format': '{FORMAT}'); "
            "write checkpoints with mostnet.model.save_checkpoint"
        )
    version = document.get("format_version")
    if version not in (1, FORMAT_VERSION):
        raise CheckpointError(
            f"{path}: checkpoint format {version!r}, this mostnet reads 1 and {FORMAT_VERSION}; "
            "save it again with a mostnet of that version"
        )
    missing = [key for key in ("variant", "config", "weights") if key not in document]
    if missing:
        raise CheckpointError(f"{path}: the checkpoint lacks {', '.join(missing)}; save it again")
    variant = document["variant"]
    model = _build(document["config"], document["weights"], path, has_colour_map=version > 1)
    if not isinstance(variant, str) or VARIANTS.get(variant, model.config) != model.config:
        raise CheckpointError(f"{path}: calls itself variant {variant!r}, but has another config; rename its variant")
    return Checkpoint(variant, model, document.get("training"))


def _read(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such checkpoint; `python -m mostnet.model init VARIANT {path.name}` makes an untrained one"
        )
    with path.open("rb") as file:
        start = file.read(2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower() or start.startswith(b"\x80"):  # 0x80 begins a bare pickle
            raise CheckpointError(
                f"{path}: holds Python objects whose loading would run code; refused. "
                "A checkpoint holds only tensors and plain values"
            ) from error
        raise CheckpointError(f"{path}: not a PyTorch checkpoint") from error
    except Exception as error:  # a damaged pickle can raise any exception
        problem = "truncated or damaged" if start == b"PK" else "not a PyTorch checkpoint"
        raise CheckpointError(f"{path}: {problem} ({path.stat().st_size} bytes); copy it again") from error


def _build(config: Any, weights: Any, path: Path, *, has_colour_map: bool) -> MostNet:
    if not isinstance(config, dict) or not isinstance(weights, dict):
        raise CheckpointError(f"{path}: config and weights of the checkpoint must be dictionaries; save it again")
    try:
        with torch.device("meta"):  # allocates nothing for the sizes in a file until its weights fit them
            model = MostNet(ModelConfig.from_dict(config))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: this mostnet does not support its config ({error})") from error
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if not has_colour_map:
        wanted = {name: shape for name, shape in wanted.items() if not name.startswith(_COLOUR_MAP)}
    for name, value in weights.items():
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided or not value.is_floating_point():
            raise CheckpointError(f"{path}: weight {name!r} is not a dense tensor of real numbers; save it again")
    found = {str(name): tuple(value.shape) for name, value in weights.items()}
    if wanted.keys() != found.keys():
        missing, unknown = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
        raise CheckpointError(
            f"{path}: the weights do not fit the config: {len(missing)} missing {missing[:3]}, "
            f"{len(unknown)} unknown {unknown[:3]}"
        )
    for name, shape in wanted.items():
        if found[name] != shape:
            raise CheckpointError(f"{path}: weight {name} has shape {found[name]}, the config wants {shape}")
        if not bool(torch.isfinite(weights[name].float()).all()):
            raise CheckpointError(f"{path}: weight {name} is not finite; training diverged, use an earlier checkpoint")
    added = {} if has_colour_map else _idle_colour_map(model.config)
    model.load_state_dict({name: value.float() for name, value in weights.items()} | added, assign=True)
    return model.eval().requires_grad_(False)


def _idle_colour_map(config: ModelConfig) -> dict[str, torch.Tensor]:
    """Seeded weights of a colour map that changes nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        colour = ColourMap(config.channels[-1])
    return {_COLOUR_MAP + name: value for name, value in colour.state_dict().items()}
