"""The state of a training run in ``last.pt``.

A resumed run ends with the same weights as an uninterrupted one if its number of ``threads`` is fixed and it has no
``max_minutes``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from mostnet.contract import CheckpointError, TrainingError, atomic_path
from mostnet.model.torch_file import CHECKPOINT_FORMAT, TRAINING_FORMAT, read_torch_file
from mostnet.model.weights import shown

from .options import TrainOptions

FORMAT_VERSION = 2


@dataclass
class Position:
    """The progress of a run.

    Attributes:
        step: optimiser steps done, skipped ones included.
        window: index of the current batch of windows.
        chunk: chunks of this batch that are done.
        minutes: wall-clock time spent training and validating.
        counted_minutes: the part of ``minutes`` that counts for the warm-up, see ``schedule.warmth``.
        warm_step: ``step`` at the end of the warm-up so far.
        warm_minutes: ``minutes`` at the end of the warm-up so far.
        is_warm: the warm-up is over.
        skipped: steps skipped because loss or gradient was not finite.
        best: best validation score so far; None before the first.
    """

    step: int = 0
    window: int = 0
    chunk: int = 0
    minutes: float = 0.0
    counted_minutes: float = 0.0
    warm_step: int = 0
    warm_minutes: float = 0.0
    is_warm: bool = False
    skipped: int = 0
    best: float | None = None

    def check(self) -> None:
        """Refuse values that no run has.

        Raises:
            ValueError: names the value.
        """
        for name in ("step", "window", "chunk", "warm_step", "skipped"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        for name in ("minutes", "counted_minutes", "warm_minutes", "best"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) or (name == "best" and value is None)):
                raise ValueError(f"{name} is {value!r}")
        if type(self.is_warm) is not bool:
            raise ValueError(f"is_warm is {self.is_warm!r}")


def save_run(path: Path, *, position: Position, options: TrainOptions, parts: dict[str, Any]) -> None:
    """Write the state atomically; ``parts`` holds state dictionaries and tensors by name."""
    document = {
        "format": TRAINING_FORMAT,
        "format_version": FORMAT_VERSION,
        "position": asdict(position),
        "options": options.to_dict(),
        "parts": parts,
    }
    with atomic_path(path) as temporary:
        torch.save(document, temporary)


def load_run(path: Path) -> tuple[Position, TrainOptions, dict[str, Any]]:
    """Read the file of ``save_run`` onto the CPU, without running code that it may hold.

    Raises:
        TrainingError: the file is missing, damaged, or of another kind.
    """
    if path.parent.is_file():
        raise TrainingError(f"{path.parent}: a file; a run is resumed by its folder: --out {path.parent.parent}")
    if not path.exists():
        raise TrainingError(f"{path}: nothing to resume; start the run without --resume")
    try:
        document = read_torch_file(path)
    except CheckpointError as error:
        raise TrainingError(f"{error}; damaged, or not the state of a run: start again without --resume") from error
    if not isinstance(document, dict) or document.get("format") != TRAINING_FORMAT:
        raise TrainingError(f"{path}: {_other_kind(document)}")
    version = document.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise TrainingError(
            f"{path}: state format {version!r}, this mostnet reads {FORMAT_VERSION}; "
            "resume with the version of mostnet that wrote it"
        )
    try:
        known = dict(document["position"])
        position = Position(**known)
        position.check()
        options = TrainOptions().updated(dict(document["options"]), source=str(path))
        if "is_warm" not in known:  # a run of an earlier version, whose steps took about the same time
            position.warm_step = min(position.step, options.warm_up_steps)
            position.warm_minutes = position.minutes * position.warm_step / max(1, position.step)
            position.is_warm = position.step >= options.warm_up_steps
        return position, options, dict(document["parts"])
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: damaged ({shown(str(error))}); start again without --resume") from error


def _other_kind(document: Any) -> str:
    if isinstance(document, dict) and document.get("format") == CHECKPOINT_FORMAT:
        return (
            "a checkpoint like model.pt, weights alone and not the state of a run; a run is resumed from its last.pt; "
            "to start a new run from these weights, give them with --init"
        )
    return "not the state of a run; a run is resumed from its last.pt"
