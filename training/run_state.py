"""The state of a training run in ``last.pt``. A resumed run ends with the same weights as an uninterrupted one."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from mostnet.contract import TrainingError, atomic_path

from .options import TrainOptions

FORMAT = "mostnet-training"
FORMAT_VERSION = 2


@dataclass
class Position:
    """The progress of a run.

    Attributes:
        step: optimiser steps done, skipped ones included.
        window: index of the current batch of windows.
        chunk: chunks of this batch that are done.
        minutes: wall-clock time spent training and validating.
        skipped: steps skipped because loss or gradient was not finite.
        best: best validation score so far; None before the first.
    """

    step: int = 0
    window: int = 0
    chunk: int = 0
    minutes: float = 0.0
    skipped: int = 0
    best: float | None = None


def save_run(path: Path, *, position: Position, options: TrainOptions, parts: dict[str, Any]) -> None:
    """Write the state atomically; ``parts`` holds state dictionaries and tensors by name."""
    document = {
        "format": FORMAT,
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
    if not path.is_file():
        raise TrainingError(f"{path}: nothing to resume; start the run without --resume")
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise TrainingError(f"{path}: damaged, or not the state of a run; start again without --resume") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise TrainingError(f"{path}: not the state of a run; a run is resumed from its last.pt")
    if document.get("format_version") != FORMAT_VERSION:
        raise TrainingError(
            f"{path}: state format {document.get('format_version')!r}, this mostnet reads {FORMAT_VERSION}; "
            "resume with the version of mostnet that wrote it"
        )
    options = TrainOptions().updated(document["options"], source=str(path))
    return Position(**document["position"]), options, document["parts"]
