"""The networks that can be trained, ours and those of Table I: their first weights, and their checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

from mostnet.contract import CheckpointError, TrainingError
from mostnet.model import Checkpoint, MostNet, initial_checkpoint, load_checkpoint, save_checkpoint
from mostnet.model.table1 import (
    Baseline,
    BaselineCheckpoint,
    Raft,
    build,
    is_baseline,
    load_baseline,
    load_raft_weights,
    save_baseline,
)

from .grow import grow
from .options import MOSTNET, TrainOptions

#: A network that steps through a clip frame by frame.
Network: TypeAlias = MostNet | Baseline


def first_network(options: TrainOptions, init: Path | None) -> Network:
    """The network of a run with seeded weights, or with the weights of ``init``, grown if need be.

    Raises:
        TrainingError: ``init`` is of a wider variant, or of another network.
        CheckpointError: ``init`` cannot be used.
        BackendNotInstalledError: the network needs a library that is not installed.
    """
    if options.network != MOSTNET:
        return _first_baseline(options, init)
    start = None if init is None else load_checkpoint(init)
    if start is not None and start.variant == options.variant:
        return start.model
    fresh = initial_checkpoint(options.variant, seed=options.seed).model
    if start is not None:
        try:
            grow(start.model, fresh)
        except TrainingError as error:
            raise TrainingError(f"{init}: {error}") from error
    return fresh


def _first_baseline(options: TrainOptions, init: Path | None) -> Baseline:
    fresh = build(options.network, seed=options.seed)
    if init is None:
        return fresh
    if is_baseline(init):
        start = load_baseline(init)
        if start.name != options.network:
            raise TrainingError(f"{init}: is {start.name}, but the run trains {options.network}; give its own weights")
        return start.model
    if isinstance(fresh, Raft):
        load_raft_weights(fresh, init)
        return fresh
    raise CheckpointError(f"{init}: not a checkpoint of {options.network}; give one that mostnet-train wrote")


def copy_of(network: Network) -> Network:
    """The network with the same weights on the CPU, in the usual memory layout."""
    fresh: Network = MostNet(network.config) if isinstance(network, MostNet) else build(network.name)
    fresh.load_state_dict({name: value.cpu() for name, value in network.state_dict().items()})
    return fresh


def write_checkpoint(network: Network, options: TrainOptions, record: dict[str, Any], path: Path) -> None:
    """Write the weights of a run with the record of its training, atomically.

    Raises:
        CheckpointError: the record is not plain.
    """
    if isinstance(network, MostNet):
        save_checkpoint(Checkpoint(options.variant, network, record), path)
    else:
        save_baseline(BaselineCheckpoint(network.name, network, record), path)


def trained_tasks(options: TrainOptions, network: Network) -> tuple[str, ...]:
    """The tasks of the options that the network has.

    Raises:
        TrainingError: there is none.
    """
    tasks = options.tasks if isinstance(network, MostNet) else tuple(t for t in options.tasks if t in network.tasks)
    if not tasks:
        raise TrainingError(f"tasks are {', '.join(options.tasks)}, but network {options.network} has none of them")
    return tasks
