"""Checkpoints: one ``.pt`` file with format version, variant, config, weights and an optional training record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mostnet.contract import CheckpointError, atomic_path

from .config import VARIANTS
from .network import MostNet
from .torch_file import BASELINE_FORMAT, CHECKPOINT_FORMAT, TRAINING_FORMAT, read_torch_file
from .training_record import record_problem
from .weights import check_fit, network_of, plain_weights, shown

FORMAT_VERSION = 3
#: Most characters in the name of a variant.
_LONGEST = 64


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


def save_checkpoint(checkpoint: Checkpoint, path: Path, *, half: bool = False) -> None:
    """Write a checkpoint atomically: an interrupted write leaves an earlier file as it was.

    Args:
        checkpoint: what to write.
        path: the file.
        half: round the weights to float16, for half the size. Loaded again, they are float32 of these values.

    Raises:
        CheckpointError: ``load_checkpoint`` would refuse the training record, or a weight has no finite float16.
    """
    if problem := record_problem(checkpoint.training):
        raise CheckpointError(f"{path}: not written: the record of its training {problem}")
    weights = checkpoint.model.state_dict()
    if half:
        weights = {name: value.half() for name, value in weights.items()}
        for name, value in weights.items():
            if not bool(torch.isfinite(value).all()):
                raise CheckpointError(f"{path}: not written: weight {name} is too large for half precision")
    document = {
        "format": CHECKPOINT_FORMAT,
        "format_version": FORMAT_VERSION,
        "variant": checkpoint.variant,
        "config": checkpoint.model.config.to_dict(),
        "weights": weights,
        "training": checkpoint.training,
    }
    with atomic_path(path) as temporary:
        torch.save(document, temporary)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint without running code that it may hold.

    Names may have the prefixes that DataParallel, AveragedModel and ``torch.compile`` add.

    Raises:
        CheckpointError: the file is missing, truncated, not a checkpoint, holds code, is of another format version, its
            weights do not fit its config, or its training record is not plain; the message says which.
    """
    if not path.exists():
        raise CheckpointError(
            f"{path}: no such checkpoint; `python -m mostnet.model init VARIANT {path.name}` makes an untrained one"
        )
    document = read_torch_file(path)
    if not isinstance(document, dict) or document.get("format") != CHECKPOINT_FORMAT:
        raise CheckpointError(f"{path}: {_other_kind(document, path)}")
    version = document.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        earlier = type(version) is int and 1 <= version < FORMAT_VERSION
        raise CheckpointError(
            f"{path}: checkpoint format {shown(version)}, this mostnet reads {FORMAT_VERSION}; "
            + (
                "its network finds flow in another way: train it again"
                if earlier
                else "save it again with this mostnet"
            )
        )
    missing = [key for key in ("variant", "config", "weights") if key not in document]
    if missing:
        raise CheckpointError(f"{path}: the checkpoint lacks {', '.join(missing)}; save it again")
    variant, training = document["variant"], document.get("training")
    if problem := record_problem(training):
        raise CheckpointError(f"{path}: the record of its training {problem}; save it again with training=None")
    model = _build(document["config"], document["weights"], path)
    if not isinstance(variant, str) or len(variant) > _LONGEST or VARIANTS.get(variant, model.config) != model.config:
        raise CheckpointError(
            f"{path}: calls itself variant {shown(variant)}, but has another config, or too long a name; "
            "rename its variant"
        )
    return Checkpoint(variant, model, training)


def _other_kind(document: Any, path: Path) -> str:
    """What a PyTorch file is that is no checkpoint, and what to do."""
    if isinstance(document, dict) and document.get("format") == TRAINING_FORMAT:
        model = path.with_name("model.pt")
        place = f"give {model}" if model.is_file() else f"{model}, which a run writes too, is missing"
        return f"the state of a training run, only for mostnet-train --resume; its weights are in model.pt: {place}"
    if isinstance(document, dict) and document.get("format") == BASELINE_FORMAT:
        return "a checkpoint of a network of Table I, not of MOST-NET+, which is needed here"
    if _is_state_dict(document) or (isinstance(document, dict) and any(map(_is_state_dict, document.values()))):
        return (
            "a bare state_dict, weights without their config, and not a mostnet checkpoint; "
            "load it into a mostnet.model.MostNet, and write that with mostnet.model.save_checkpoint"
        )
    return (
        f"a PyTorch file, but not a mostnet checkpoint (no 'format': '{CHECKPOINT_FORMAT}'); "
        "write checkpoints with mostnet.model.save_checkpoint"
    )


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(each, torch.Tensor) for each in value.values())


def _build(config: Any, weights: Any, path: Path) -> MostNet:
    found, model = plain_weights(weights, path), network_of(config, path)
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    check_fit(found, wanted, path)
    model.load_state_dict({name: value.float() for name, value in found.items()}, assign=True)
    return model.eval().requires_grad_(False)
