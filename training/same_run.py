"""What may not change between the start of a training run and its continuation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mostnet.contract import TrainingError

from .options import TrainOptions


def check_same_run(saved: TrainOptions, options: TrainOptions, run_dir: Path) -> None:
    """Refuse a change of an option that the saved state depends on.

    Raises:
        TrainingError: names the option.
    """
    for name in (
        "network",
        "variant",
        "losses",
        "frame_step",
        "batch",
        "clip",
        "chunks",
        "crop_hw",
        "seed",
        "learned_weights",
        "overfit",
        "photo_share",
        "repeats",
    ):
        before, now = getattr(saved, name), getattr(options, name)
        if before != now:
            raise TrainingError(f"{run_dir}: was started with {name} {before}, and cannot be resumed with {now}")


def check_same_photos(before: dict[str, Any] | None, now: dict[str, Any] | None, run_dir: Path) -> None:
    """Refuse other photographs or paths: the saved state belongs to clips of the first ones.

    Raises:
        TrainingError: describes both.
    """
    if before and now:
        now = {name: value for name, value in now.items() if name in before}  # a file of an earlier version has fewer
    if before != now:
        was, given = ("no photographs" if record is None else _photo_text(record) for record in (before, now))
        raise TrainingError(
            f"{run_dir}: was started with {was}, and is resumed with {given}; give the same --photos and --paths"
        )


def _photo_text(record: dict[str, Any]) -> str:
    paths = f"{record['recorded_paths']} recorded paths ({(record.get('paths_sha256') or 'none')[:8]})"
    return f"{record['count']} photographs ({record['sha256'][:8]}) and {paths}"
