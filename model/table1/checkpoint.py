"""Checkpoints of the networks of Table I: one ``.pt`` file with name, weights and an optional training record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mostnet.contract import CheckpointError, MostnetError, atomic_path, sha256
from mostnet.model.torch_file import BASELINE_FORMAT, read_torch_file
from mostnet.model.training_record import record_problem
from mostnet.model.weights import check_fit, shown

from .baseline import Baseline
from .networks import NETWORKS, build
from .tensors import split_counts, with_counts

BASELINE_VERSION = 1


@dataclass(frozen=True)
class BaselineCheckpoint:
    """A network of Table I with its weights and their origin.

    Attributes:
        name: its name in ``NETWORKS``.
        model: the network, float32, on the CPU, in evaluation mode.
        training: record of the training run in plain Python values; None for initial weights.
    """

    name: str
    model: Baseline
    training: dict[str, Any] | None = None

    @property
    def variant(self) -> str:
        """The name, which a graph's metadata calls its variant."""
        return self.name


def save_baseline(checkpoint: BaselineCheckpoint, path: Path) -> None:
    """Write a checkpoint atomically: an interrupted write leaves an earlier file as it was.

    Raises:
        CheckpointError: ``load_baseline`` would refuse the training record.
    """
    if problem := record_problem(checkpoint.training):
        raise CheckpointError(f"{path}: not written: the record of its training {problem}")
    document = {
        "format": BASELINE_FORMAT,
        "format_version": BASELINE_VERSION,
        "name": checkpoint.name,
        "weights": checkpoint.model.state_dict(),
        "training": checkpoint.training,
    }
    with atomic_path(path) as temporary:
        torch.save(document, temporary)


def load_baseline(path: Path) -> BaselineCheckpoint:
    """Read a checkpoint without running code that it may hold.

    Raises:
        CheckpointError: the file is missing, damaged, of another kind or version, or its parts do not fit; the message
            says which.
        BackendNotInstalledError: a library that the network is made of is not installed, or does not fit torch.
    """
    if not path.exists():
        raise CheckpointError(
            f"{path}: no such checkpoint; `python -m mostnet.model.table1 init NAME {path.name}` makes an untrained one"
        )
    document = read_torch_file(path)
    if not _is_ours(document):
        raise CheckpointError(
            f"{path}: a PyTorch file, but not a checkpoint of Table I (no 'format': '{BASELINE_FORMAT}')"
        )
    version, name, training = (document.get(key) for key in ("format_version", "name", "training"))
    if type(version) is not int or version != BASELINE_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint format {shown(version)}, this mostnet reads {BASELINE_VERSION}; "
            "save it again with this mostnet"
        )
    if not isinstance(name, str) or name not in NETWORKS:
        raise CheckpointError(f"{path}: network {shown(name)} is not one of {', '.join(NETWORKS)}")
    if problem := record_problem(training):
        raise CheckpointError(f"{path}: the record of its training {problem}; save it again with training=None")
    if "weights" not in document:
        raise CheckpointError(f"{path}: the checkpoint lacks weights; save it again")
    return BaselineCheckpoint(name, _filled(name, document["weights"], path), training)


def is_baseline(path: Path) -> bool:
    """Whether ``path`` is a readable file with the format of ``save_baseline``; false for a missing or damaged one."""
    try:
        return path.is_file() and _is_ours(read_torch_file(path))
    except (MostnetError, OSError):
        return False


def combine(estrnn: Path, raft: Path, deeplab: Path, out: Path) -> BaselineCheckpoint:
    """Join three checkpoints into one of the combination, write it to ``out``, and return it.

    Raises:
        CheckpointError: a file cannot be loaded, or holds another network.
        BackendNotInstalledError: a library is not installed, or does not fit torch.
    """
    paths = {"estrnn": estrnn, "raft": raft, "deeplab": deeplab}
    loaded = {part: load_baseline(path) for part, path in paths.items()}
    model = build("combination")
    parts = {}
    for part, checkpoint in loaded.items():
        own = model.get_submodule(part)
        assert isinstance(own, Baseline)
        if checkpoint.name != own.name:
            raise CheckpointError(f"{paths[part]}: holds {checkpoint.name}, expected {own.name} in this place")
        own.load_state_dict(checkpoint.model.state_dict())
        parts[own.name] = {"sha256": sha256(paths[part]), "training": checkpoint.training}
    trained = all(checkpoint.training is not None for checkpoint in loaded.values())
    combined = BaselineCheckpoint("combination", model, {"parts": parts} if trained else None)
    save_baseline(combined, out)
    return combined


def _is_ours(document: Any) -> bool:
    return isinstance(document, dict) and document.get("format") == BASELINE_FORMAT


def _filled(name: str, document: Any, path: Path) -> Baseline:
    weights, counts = split_counts(document, path)
    with torch.device("meta"):  # no memory for weights that the file replaces
        model = NETWORKS[name]()
    own = model.state_dict()
    check_fit(weights, {key: tuple(value.shape) for key, value in own.items() if value.is_floating_point()}, path)
    model.load_state_dict(with_counts(weights, counts, own, path), assign=True)
    return model.eval().requires_grad_(False)
