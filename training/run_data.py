"""The data of a run: clips to train on, frames to validate on, and photographs. Each says what was found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from mostnet.contract import TrainingError, sha256
from mostnet.training.data.clips import ClipDataset, ClipOptions
from mostnet.training.data.dataset import TASKS, SequenceFiles
from mostnet.training.data.frame_source import FrameSource
from mostnet.training.data.layout import LABELS
from mostnet.training.data.oddities import say_masks
from mostnet.training.data.published import open_split
from mostnet.training.data.same_size import check_same_size
from mostnet.training.photos import PhotoClips, PhotoOptions
from mostnet.training.photos.folder import describe_photos, photos_sha256, read_photos
from mostnet.training.photos.recorded import read_paths

from .batches import photo_clips
from .options import TrainOptions

Report = Callable[[str], None]
#: Label that teaches each task.
_TEACHER = dict(zip(TASKS, (LABELS[0], LABELS[2], LABELS[1]), strict=True))


def open_data(
    data: Path, options: TrainOptions, *, tasks: Sequence[str], photos: bool, report: Report
) -> tuple[ClipDataset, FrameSource | None]:
    """Open the clips of the ``train`` split, and the frames to validate on, if the run validates.

    Args:
        data: root of the data set.
        options: of the run.
        tasks: tasks that are trained.
        photos: moving photographs, which have every label, are part of every batch.
        report: called with each line on what was found.

    Raises:
        DatasetError: a split cannot be used, has no label at all, or has files of several sizes in one sequence.
        TrainingError: no label of the ``train`` split teaches one of the tasks.
    """
    is_drawn = not photos or photo_clips(options) < options.batch
    opened = open_split(data, "train", needs_labels=is_drawn, advice="")
    sequences = opened.sequences[: options.overfit] if options.overfit else opened.sequences
    validates = bool(options.validate_every)
    validation = None
    if validates and not options.overfit:
        advice = "--validate-every 0 trains without it"
        validation = open_split(data, "val", direction=opened.direction, advice=advice)
    held_out = validation.sequences if validation is not None else sequences if validates else ()
    for line in dict.fromkeys((*opened.lines, *(() if validation is None else validation.lines))):
        report(line)
    if options.overfit:
        report(f"{data}: trains on {len(sequences)} of these sequences")
    if not photos:
        for line in _untaught(data, sequences, tasks):
            report(line)
    held_out = held_out[: options.val_sequences]
    for split in (sequences if is_drawn else (), held_out):
        check_same_size(split)
    for split in (sequences, held_out):
        if split:
            masks = [path for sequence in split for path in sequence.labels.get("mask", ()) if path]
            say_masks(str(split[0].folder.parent), masks)
    dataset = ClipDataset(FrameSource(sequences, cache=options.cache), _clip_options(options))
    if not validates:
        return dataset, None
    instead = "this frame is left out of the validation"
    return dataset, FrameSource(held_out, cache="ram", most_bad=0.2, instead=instead)


def open_photos(
    photos: Path | None, paths: Path | None, options: TrainOptions, *, device: torch.device, report: Report
) -> tuple[PhotoClips | None, dict[str, Any]]:
    """Open the photographs of a run, and a record of them: their number and digests; None and empty without any.

    Args:
        photos: folder of photographs with tooth masks.
        paths: recorded camera paths.
        options: of the run.
        device: of the clips.
        report: called with the line on what was found.

    Raises:
        DatasetError: photographs or paths cannot be used.
        TrainingError: paths without photographs, or a batch that cannot be shared.
    """
    if photos is None:
        if paths is not None:
            raise TrainingError(f"--paths {paths} moves photographs; give their folder with --photos, or drop it")
        return None, {}
    found, recorded = read_photos(photos), [] if paths is None else read_paths(paths)
    record = {
        "count": len(found),
        "sha256": photos_sha256(photos),
        "recorded_paths": len({path.name for path in recorded}),
        "paths_sha256": None if paths is None else sha256(paths),
    }
    report(f"{describe_photos(photos)}; {_share_text(options)}")
    clip = PhotoOptions(frames=options.clip * options.chunks, size_hw=options.crop_hw, seed=options.seed)
    return PhotoClips(found, clip, recorded=recorded, device=device), record


def data_record(data: Path) -> dict[str, Any]:
    """The content of ``train/dataset.json`` as ``description``, if there is one.

    Raises:
        TrainingError: it is not JSON.
    """
    path = data / "train" / "dataset.json"
    if not path.is_file():
        return {}
    try:
        return {"description": json.loads(path.read_text(encoding="utf-8-sig"))}
    except ValueError as error:
        raise TrainingError(f"{path}: not JSON ({error}); make the data set again, or remove the file") from error


def _share_text(options: TrainOptions) -> str:
    """How many clips of a batch are photographs, and the share that was asked for if it differs."""
    clips = photo_clips(options)
    share = clips / options.batch
    asked = "" if abs(share - options.photo_share) < 0.005 else f" ({share:.2f}, asked {options.photo_share:g})"
    return f"{clips} of {options.batch} clips of every batch{asked}"


def _untaught(data: Path, sequences: Sequence[SequenceFiles], tasks: Sequence[str]) -> list[str]:
    """A line on each task without a label.

    Raises:
        TrainingError: no task has a label.
    """
    there = {label for sequence in sequences for label in sequence.labels}
    if any(sequence.has_flow for sequence in sequences):
        there.add("flow")
    lacking = [task for task in tasks if _TEACHER[task] not in there]
    if len(lacking) == len(tasks):
        raise TrainingError(
            f"{data / 'train'}: no label for the tasks {', '.join(tasks)}: expected "
            f"{', '.join(_TEACHER[task] for task in tasks)}, found {', '.join(sorted(there)) or 'none'}; "
            "add the labels, or choose other --tasks"
        )
    return [f"{data / 'train'}: no {_TEACHER[task]}, so nothing teaches the task {task}" for task in lacking]


def _clip_options(options: TrainOptions) -> ClipOptions:
    return ClipOptions(
        frames=options.clip * options.chunks,
        step=options.frame_step,
        crop_hw=options.crop_hw,
        scale=(options.scale_min, options.scale_max),
        augment=not options.overfit,
        seed=options.seed,
    )
