"""Photographs on disk, in the layout that ``mostnet.training.data.dataset`` reads: moving or still.

The files are those of ``mostnet.training.synth.files``, with two differences. There is no ``similarity.csv``. The input
of a moving photograph is a PNG, because its degradation ends with a JPEG of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from mostnet.contract import DatasetError, sha256
from mostnet.model.threads import torch_settings_kept
from mostnet.training.data.dataset import LabelledFrame
from mostnet.training.data.flow_files import write_flow
from mostnet.training.synth.files import (
    sequence_seeds,
    whole_folder,
    write_frames,
    write_picture,
)
from mostnet.training.synth.split import is_written, split_folder

from .clips import PhotoClips, PhotoOptions
from .folder import photo_files, photos_sha256, read_photo, read_photos, say_photo_masks
from .recorded import read_paths

Progress = Callable[[int], None]


def write_moving(
    out: str | Path,
    split: str,
    photos: str | Path,
    options: PhotoOptions,
    *,
    sequences: int,
    paths: str | Path | None = None,
    progress: Progress = lambda done: None,
) -> Path:
    """Write clips of moving photographs as one split and return its folder.

    Each sequence appears whole or not at all; ``dataset.json`` appears when all sequences are there. After an
    interrupt, the same call continues.

    Args:
        out: data set to add the split to.
        split: name of the split; no two splits share a seed.
        photos: folder of photographs with tooth masks.
        options: of the clips; ``seed`` is the first seed within the split's own range.
        sequences: number of sequences.
        paths: recorded camera paths.
        progress: called with the number of sequences written so far.

    Raises:
        DatasetError: the folder holds another split, a number is out of its range, or photographs or paths cannot be
            used.
        OSError: a file cannot be read or written.
    """
    seeds = sequence_seeds(split, seed=options.seed, sequences=sequences)
    photos, paths = Path(photos), None if paths is None else Path(paths)
    found, recorded = read_photos(photos), [] if paths is None else read_paths(paths)
    first = sequence_seeds(split, seed=0, sequences=1).start
    clips = PhotoClips(found, replace(options, seed=first), recorded=recorded)
    chosen = asdict(options)
    record = {
        "sequences": sequences,
        "frames": chosen.pop("frames"),
        "size_hw": chosen.pop("size_hw"),
        "photographs": {"count": len(found), "sha256": photos_sha256(photos)},
        "recorded_paths": None
        if paths is None
        else {"count": len({path.name for path in recorded}), "sha256": sha256(paths)},
        "options": {name: value for name, value in chosen.items() if name != "seed"},
    }
    versions = {"torch": str(torch.__version__)}
    with torch_settings_kept(), split_folder(Path(out), split, record, seeds=seeds, versions=versions) as folder:
        torch.set_num_threads(1)  # more threads wait for each other, as the tensors of one clip are small
        for index, seed in enumerate(seeds):
            if not is_written(folder / f"{index:06}", frames=options.frames):
                with whole_folder(folder / f"{index:06}") as temporary:
                    write_frames(temporary, _frames(clips, seed))
            progress(index + 1)
    return folder


def _frames(clips: PhotoClips, index: int) -> Iterator[LabelledFrame]:
    batch = clips.batch(index, 1)
    parts = (batch.input, batch.reference, batch.mask, batch.flow, batch.valid)
    return map(LabelledFrame, *(part[0].numpy() for part in parts))


def write_still(
    out: str | Path,
    split: str,
    photos: str | Path,
    *,
    sequences: int | None = None,
    frames: int = 3,
    progress: Progress = lambda done: None,
) -> Path:
    """Write every photograph as a clean clip that stands still, as one split, and return its folder.

    Input and reference are the photograph's own file, so that they are equal and lose nothing. The flow is zero.

    Args:
        out: data set to add the split to.
        split: name of the split.
        photos: folder of photographs with tooth masks.
        sequences: number of photographs to take from the start of the folder; None for all.
        frames: frames of each clip.
        progress: called with the number of sequences written so far.

    Raises:
        DatasetError: the folder holds another split, a number is out of its range, or the photographs cannot be used.
        OSError: a file cannot be read or written.
    """
    photos = Path(photos)
    files = photo_files(photos)
    if frames < 1 or (sequences is not None and not 1 <= sequences <= len(files)):
        raise DatasetError(
            f"{len(files) if sequences is None else sequences} sequences of {frames} frames; expected at least 1 "
            f"frame, and 1 to {len(files)} sequences, one per photograph"
        )
    for file in files[:sequences]:
        read_photo(file)  # a bad one ends the command before anything is written
    say_photo_masks(photos, files[:sequences])
    record = {
        "sequences": sequences or len(files),
        "frames": frames,
        "photographs": {"count": len(files), "sha256": photos_sha256(photos)},
        "options": {"still": True},
    }
    with split_folder(Path(out), split, record) as folder:
        for index, file in enumerate(files[:sequences]):
            if not is_written(folder / f"{index:06}", frames=frames):
                with whole_folder(folder / f"{index:06}") as temporary:
                    _write_one_still(temporary, file, frames)
            progress(index + 1)
    return folder


def _write_one_still(folder: Path, file: Path, frames: int) -> None:
    tooth = read_photo(file).pixels[..., 3]
    (folder / "flow").mkdir()
    for k in range(frames):
        for kind in ("input", "reference"):
            (folder / kind).mkdir(exist_ok=True)
            (folder / kind / f"{k:06}{file.suffix.lower()}").write_bytes(file.read_bytes())
        write_picture(folder / f"mask/{k:06}.png", tooth)
        write_flow(folder / f"flow/{k:06}.png", np.zeros((2, *tooth.shape), np.float32), np.full(tooth.shape, k > 0))
