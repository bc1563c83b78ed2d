"""The published Vident-real: what a split holds and lacks, and the motion of its matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mostnet.contract import DatasetError

from .dataset import SPLITS, SequenceFiles, first_size, index_sequence, index_split, sequence_folders
from .flow_files import npy_size
from .layout import LABELS, VIDENT
from .matrices import read_matrices
from .matrix_direction import Direction, backward, find_direction

#: Most sequences in which the direction of the matrices is sought; the first three that move tell it.
_SEQUENCES = 12


@dataclass(frozen=True)
class OpenedSplit:
    """A split that is ready to be read.

    Attributes:
        sequences: with the motion of their matrices, if these tell it.
        lines: what was found, and what is missing, for people.
    """

    sequences: tuple[SequenceFiles, ...]
    lines: tuple[str, ...]


def open_split(root: Path, split: str, *, most: int | None = None) -> OpenedSplit:
    """Find the sequences of a split, the first ``most`` or all; check and read the matrices of a published one.

    Raises:
        DatasetError: like ``index_split``; matrices that cannot be read or of another number than the frames; flow of
            another size than the frames.
    """
    sequences = index_split(root, split)[:most]
    lines = [describe(f"{root.resolve().name}/{split}", sequences)]
    if any(sequence.matrices for sequence in sequences):
        direction, line = data_direction(root)
        lines.append(line)
        sequences = tuple(with_motion(sequence, direction) for sequence in sequences)
    for sequence in sequences:
        _check_flow_size(sequence)
    return OpenedSplit(sequences, tuple(lines))


def describe(name: str, sequences: Sequence[SequenceFiles]) -> str:
    """One line on the split of this name: its layout, how many sequences have each label, what is missing."""
    layouts = sorted({sequence.layout.name for sequence in sequences})
    counts = {
        "/".join(dict.fromkeys(s.layout.folders[label] for s in sequences)): sum(label in s.labels for s in sequences)
        for label in LABELS
    }
    if any(sequence.layout is VIDENT for sequence in sequences):
        counts[str(VIDENT.matrices)] = sum(sequence.matrices is not None for sequence in sequences)
    total = len(sequences)
    found = [name if count == total else f"{name} in {count} of {total}" for name, count in counts.items() if count]
    missing = [name for name, count in counts.items() if count == 0]
    return (
        f"{name}: layout of {' and '.join(layouts)}, {total} sequences, {sum(map(len, sequences))} frames; "
        f"labels: {', '.join(found) or 'none'}; missing: {', '.join(missing) or 'none'}"
    )


def data_direction(root: Path) -> tuple[Direction | None, str]:
    """The direction of the matrices of a data set, found on its first sequences, and a line that says so.

    Raises:
        DatasetError: matrices or pictures cannot be read.
    """
    clips = []
    for folder in (folder for split in SPLITS for folder in sequence_folders(root / split)):
        sequence = index_sequence(folder, partial_flow=True)
        if sequence.matrices is not None:
            pictures = [path for path in sequence.labels.get("reference", sequence.input) if path is not None]
            clips.append((pictures, read_matrices(sequence.matrices, len(sequence))))
        if len(clips) == _SEQUENCES:
            break
    found = find_direction(clips)
    return found.direction, found.text


def with_motion(sequence: SequenceFiles, direction: Direction | None) -> SequenceFiles:
    """The sequence with the motion of its matrices, if it has matrices and their direction is known.

    Raises:
        DatasetError: the matrices cannot be read, or their number is not that of the frames.
    """
    if sequence.matrices is None:
        return sequence
    matrices = read_matrices(sequence.matrices, len(sequence))
    return sequence if direction is None else replace(sequence, motion=np.asarray(backward(matrices, direction)))


def _check_flow_size(sequence: SequenceFiles) -> None:
    """Compare the first flow file with the first picture: a wrong size would end a run much later."""
    path = next((path for path in sequence.labels.get("flow", ()) if path is not None), None)
    if path is None or path.suffix != ".npy":
        return
    found, wanted = npy_size(path), first_size(sequence)
    if wanted is not None and found != wanted:
        raise DatasetError(
            f"{path}: flow of {found[0]}x{found[1]}, but its frames are {wanted[0]}x{wanted[1]}; labels must have the "
            "frame's size"
        )
