"""Weights and frames of a case: the shipped network on teeth in motion, or seeded weights on a moving texture.

Accuracy is judged with trained weights: TensorRT is reported to compute a warp wrongly in the midst of a half-precision
network, while the same warp alone is right.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mostnet.bench.frames import synthetic_frames
from mostnet.contract import Frame, MeasurementError
from mostnet.contract.shipped import packaged_checkpoints
from mostnet.export.accuracy import BOUNDS, Activity
from mostnet.model import StreamOutput, initial_checkpoint, save_checkpoint
from mostnet.model.table1 import BaselineCheckpoint, build, load_baseline, save_baseline
from mostnet.training.synth.sequence import make_sequence

from .cases import COMBINATION, MOST_DRAWN, Case

SEED = 1
UNTRAINED = "seeded, untrained"


@dataclass(frozen=True)
class Content:
    """Weights and frames of a case.

    Attributes:
        weights: where the weights come from, and whether they are trained.
        scene: where the frames come from.
        frames: uint8 ``(H, W, 3)`` BGR.
    """

    weights: str
    scene: str
    frames: tuple[Frame, ...]


def make_content(case: Case, checkpoint: Path, count: int, *, combination: Path | None = None) -> Content:
    """Write the case's weights to ``checkpoint`` and make ``count`` frames for them.

    Args:
        combination: trained checkpoint for a case of the combination; None makes one from a seed.

    Raises:
        MeasurementError: ``combination`` holds another network.
        CheckpointError: it cannot be read.
        BackendNotInstalledError: a library that the combination is made of is not installed.
    """
    if case.variant == COMBINATION and combination is None:
        save_baseline(BaselineCheckpoint(COMBINATION, build(COMBINATION, seed=SEED)), checkpoint)
        frames = synthetic_frames(case.size_hw, count, seed=SEED)
        return Content(UNTRAINED, f"moving texture, seed {SEED}", frames)
    if case.variant == COMBINATION and combination is not None:
        shipped: Path | None = _checked(combination)
    else:
        shipped = packaged_checkpoints().get(case.variant)
    if shipped is None:
        save_checkpoint(initial_checkpoint(case.variant, seed=SEED, random_head=True), checkpoint)
        frames = synthetic_frames(case.size_hw, count, seed=SEED)
        return Content(UNTRAINED, f"moving texture, seed {SEED}", frames)
    shutil.copyfile(shipped, checkpoint)
    drawn = make_sequence(SEED, frames=min(count, MOST_DRAWN), size_hw=case.size_hw).input
    frames = tuple(drawn[index] for index in back_and_forth(len(drawn), count))
    return Content(_origin(case, checkpoint), f"synthetic teeth in motion, seed {SEED}", frames)


def _origin(case: Case, checkpoint: Path) -> str:
    if case.variant != COMBINATION:
        return f"shipped {case.variant}, trained"
    return f"given {COMBINATION}, {'untrained' if load_baseline(checkpoint).training is None else 'trained'}"


def _checked(combination: Path) -> Path:
    found = load_baseline(combination).name
    if found != COMBINATION:
        raise MeasurementError(
            f"{combination}: holds {found}, expected {COMBINATION}; `python -m mostnet.model.table1 combine` makes it"
        )
    return combination


def back_and_forth(length: int, count: int) -> Iterator[int]:
    """``count`` indices that run from 0 to ``length - 1`` and back, again and again."""
    period = max(1, 2 * (length - 1))
    for index in range(count):
        place = index % period
        yield min(place, period - place)


def require_activity(case: Case, frames: Iterable[Frame], outputs: Iterable[StreamOutput], *, weights: str) -> Activity:
    """How active the reference network is on the frames of its case.

    An untrained combination is there for its speed. It does next to nothing, and that is no error.

    Raises:
        MeasurementError: it does so little that a network which does nothing would pass the comparison.
    """
    activity = Activity.over([Activity.of(*pair) for pair in zip(frames, (o[:3] for o in outputs), strict=True)])
    reasons = activity.trivial(BOUNDS[case.precision])
    if reasons and (case.variant, weights) != (COMBINATION, UNTRAINED):
        raise MeasurementError(
            f"{case.name}: its reference proves little ({'; '.join(reasons)}); use more frames or a larger size"
        )
    return activity
