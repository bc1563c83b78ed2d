"""Train every row with the same budget: data, crops, clips, threads and minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mostnet.model.table1 import combine
from mostnet.training.options import TrainOptions
from mostnet.training.run_state import load_run
from mostnet.training.schedule import progress
from mostnet.training.trainer import LAST, MODEL, train

from .rows import COMBINATION, LEARNING_RATES, is_ours, network_option

#: Steps that no run reaches: its minutes end it.
_STEPS = 1_000_000


@dataclass(frozen=True)
class Budget:
    """What every network gets.

    Attributes:
        minutes: wall-clock time of training.
        threads: CPU threads.
        batch: clips per step.
        clip: frames per step.
        chunks: steps per clip, with the state carried on.
        crop_hw: height and width of a clip.
    """

    minutes: float = 5.0
    threads: int = 2
    batch: int = 4
    clip: int = 2
    chunks: int = 3
    crop_hw: tuple[int, int] = (128, 160)

    def options(self, row: str) -> TrainOptions:
        """The options of a row's run. A network with one task needs no weights between tasks."""
        weights = {} if is_ours(row) else {"w_enhance": 1.0, "w_flow": 1.0, "w_mask": 1.0}
        return TrainOptions(
            **network_option(row),  # type: ignore[arg-type]
            **weights,  # type: ignore[arg-type]
            steps=_STEPS,
            max_minutes=self.minutes,
            threads=self.threads,
            batch=self.batch,
            clip=self.clip,
            chunks=self.chunks,
            crop_hw=self.crop_hw,
            lr=LEARNING_RATES[row],
            warmup=20,
            ema=0.98,
            cache="ram",
            validate_every=0,
            save_every=50,
        )


def train_row(row: str, data: Path, runs: Path, budget: Budget, *, report: Callable[[str], None]) -> Path:
    """Train a row, or continue its run, or keep a finished one; returns its checkpoint.

    Raises:
        DatasetError, TrainingError, BackendNotInstalledError: see ``mostnet.training.trainer.train``.
        KeyboardInterrupt: a signal stopped the run, which is saved.
    """
    folder = runs / row
    if row == COMBINATION:
        return _combined(folder, runs)
    options = budget.options(row)
    resume = (folder / LAST).exists()
    if resume:
        position, saved, _ = load_run(folder / LAST)
        if progress(saved, step=position.step, minutes=position.minutes) >= 1:
            report(f"{row}: {position.step} steps are done")
            return folder / MODEL
    result = train(data, folder, options=options, resume=resume, report=lambda line: report(f"{row}: {line}"))
    if not result.finished:
        raise KeyboardInterrupt
    return folder / MODEL


def _combined(folder: Path, runs: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    estrnn, raft, deeplab = (runs / name / MODEL for name in ("estrnn", "raft", "deeplabv3+"))
    combine(estrnn, raft, deeplab, folder / MODEL)
    return folder / MODEL


def steps_of(row: str, runs: Path) -> int | None:
    """Optimiser steps of a trained row; None for the combination, whose parts were trained alone."""
    if row == COMBINATION:
        return None
    position, _, _ = load_run(runs / row / LAST)
    return position.step
