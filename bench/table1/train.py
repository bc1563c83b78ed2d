"""Train every row with the same budget: data, crops, clips, threads and minutes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from mostnet.contract import MeasurementError, write_text
from mostnet.model.table1 import combine
from mostnet.training import train
from mostnet.training.data.dataset import index_split
from mostnet.training.options import TrainOptions
from mostnet.training.run_state import load_run
from mostnet.training.schedule import progress
from mostnet.training.trainer import LAST, MODEL

from .budget import Budget
from .rows import COMBINATION, PARTS


def train_row(row: str, data: Path, runs: Path, budget: Budget, *, report: Callable[[str], None]) -> Path:
    """Train a row, or continue its run, or keep a finished one; returns its checkpoint.

    Raises:
        MeasurementError: ``runs`` holds a run of the row with other options.
        DatasetError, TrainingError, BackendNotInstalledError: see ``mostnet.training.train``.
        KeyboardInterrupt: a signal stopped the run, which is saved.
    """
    folder = runs / row
    if row == COMBINATION:
        return _combined(folder, runs)
    options = budget.options(row)
    resume = (folder / LAST).exists()
    if resume:
        position, saved, _ = load_run(folder / LAST)
        if saved != options:
            changed = [f.name for f in fields(TrainOptions) if getattr(saved, f.name) != getattr(options, f.name)]
            raise MeasurementError(
                f"{folder}: holds a run with another {', '.join(changed)}; give another folder, or remove {runs}"
            )
        if progress(saved, step=position.step, minutes=position.minutes) >= 1:
            report(f"{row}: {position.step} steps are done")
            return folder / MODEL
    return train(data, folder, options=options, resume=resume, report=lambda line: report(f"{row}: {line}")).model


def _combined(folder: Path, runs: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    estrnn, raft, deeplab = (runs / name / MODEL for name in PARTS)
    combine(estrnn, raft, deeplab, folder / MODEL)
    return folder / MODEL


def check_data(data: Path, out: Path) -> None:
    """Refuse other data than those of the runs that ``out`` holds.

    Raises:
        MeasurementError: names the file that says so.
        DatasetError: the data cannot be read.
    """
    names = {split: [(s.name, len(s)) for s in index_split(data, split)] for split in ("train", "test")}
    text = json.dumps({"root": str(data.resolve()), **names})
    path = out / "data.json"
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise MeasurementError(f"{path}: {out} holds runs on other data; give another folder, or remove this one")
    write_text(path, text)


def steps_of(row: str, runs: Path) -> int | None:
    """Optimiser steps of a trained row; None for the combination, whose parts were trained alone."""
    if row == COMBINATION:
        return None
    position, _, _ = load_run(runs / row / LAST)
    return position.step
