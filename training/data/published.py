"""Opens a split of either layout; in the published Vident-real, with the motion of its matrices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mostnet.contract import DatasetError

from .dataset import SPLITS, SequenceFiles, first_size, index_sequence, index_split, sequence_folders
from .flow_files import npy_size
from .found import describe
from .layout import VIDENT
from .matrices import Matrices, read_matrices
from .matrix_direction import Direction, MovingPictures, backward, find_direction

#: Matrices further than this from a similarity are worth a line.
_SHEAR = 1e-3
#: Most sequences in which the direction of the matrices is sought; the first three that move tell it.
_SEQUENCES = 12


@dataclass(frozen=True)
class OpenedSplit:
    """A split that is ready to be read.

    Attributes:
        sequences: with the motion of their matrices, if these tell it.
        lines: what was found, and what is missing, for people.
        direction: of the matrices; None if there are none, or if they do not tell.
    """

    sequences: tuple[SequenceFiles, ...]
    lines: tuple[str, ...]
    direction: Direction | None = None


def open_split(
    root: Path,
    split: str,
    *,
    most: int | None = None,
    direction: Direction | None = None,
    needs_labels: bool = True,
    advice: str | None = None,
) -> OpenedSplit:
    """Find the sequences of a split, the first ``most`` or all; check and read the matrices of a published one.

    Args:
        direction: of the matrices, if it is known from another split.
        needs_labels: refuse a split without a label.
        advice: as for ``index_split``.

    Raises:
        DatasetError: like ``index_split``; no sequence has a label, though ``needs_labels``; matrices that cannot be
            read or of another number than the frames; flow of another size than the frames.
    """
    sequences = index_split(root, split, advice=advice)[:most]
    lines = describe(f"{root.resolve().name}/{split}", sequences, needs_labels=needs_labels)
    for sequence in sequences:
        _check_flow_sizes(sequence)
    if any(sequence.matrices for sequence in sequences):
        if direction is None:
            direction, line = data_direction(root, split)
            lines.append(line)
        sequences = tuple(with_motion(sequence, direction) for sequence in sequences)
        lines += _on_motion(sequences)
    return OpenedSplit(sequences, tuple(lines), direction)


def data_direction(root: Path, split: str) -> tuple[Direction | None, str]:
    """The direction of the matrices of a data set, and a line that says so.

    It is found on the first sequences of ``split``, or, if these do not tell, of another split that can be read.

    Raises:
        DatasetError: matrices or pictures of ``split`` cannot be read.
    """
    found = find_direction(_moving_pictures(root / split))
    for other in SPLITS:
        if found.direction is not None:
            break
        if other != split:
            with suppress(DatasetError):  # what is wrong with a split is said when it is used
                elsewhere = find_direction(_moving_pictures(root / other))
                found = elsewhere if elsewhere.direction is not None else found
    return found.direction, found.text


def _moving_pictures(folder: Path) -> list[MovingPictures]:
    """The first sequences of a split that have matrices."""
    clips: list[MovingPictures] = []
    for place in sequence_folders(folder):
        sequence = index_sequence(place, partial_flow=True)
        if sequence.matrices is not None:
            pictures = [path for path in sequence.labels.get("reference", sequence.input) if path is not None]
            masks = [path for path in sequence.labels.get("mask", ()) if path is not None]
            clips.append(MovingPictures(pictures, read_matrices(sequence.matrices, len(sequence)), masks))
        if len(clips) == _SEQUENCES:
            break
    return clips


def _on_motion(sequences: Sequence[SequenceFiles]) -> list[str]:
    """Lines on what the matrices are used for, and on how far they are from similarities."""
    lines = []
    moving = [sequence for sequence in sequences if sequence.motion is not None]
    instead = [sequence for sequence in moving if "flow" not in sequence.labels]
    if instead:
        has_masks = all("mask" in sequence.labels for sequence in instead)
        lines.append(
            f"flow of {len(instead)} of {len(sequences)} sequences: from {VIDENT.matrices}, for lack of "
            f"{VIDENT.folders['flow']}, {'on the teeth' if has_masks else 'on the whole picture for lack of masks'}"
        )
    sheared = max((_shear(sequence.motion) for sequence in moving if sequence.motion is not None), default=0.0)
    if sheared > _SHEAR:
        lines.append(
            f"{VIDENT.matrices}: some matrices are no similarities (off by {sheared:.2g}); as the motion of the teeth, "
            "the nearest similarity counts"
        )
    return lines


def _shear(motion: Matrices) -> float:
    """How far the 2x2 parts of matrices ``(T, 3, 3)`` are from a rotation with a zoom."""
    off = np.abs(motion[:, 0, 0] - motion[:, 1, 1]), np.abs(motion[:, 0, 1] + motion[:, 1, 0])
    return float(np.maximum(*off).max())


def with_motion(sequence: SequenceFiles, direction: Direction | None) -> SequenceFiles:
    """The sequence with the motion of its matrices, if it has matrices and their direction is known.

    Raises:
        DatasetError: the matrices cannot be read, or their number is not that of the frames.
    """
    if sequence.matrices is None:
        return sequence
    matrices = read_matrices(sequence.matrices, len(sequence))
    return sequence if direction is None else replace(sequence, motion=np.asarray(backward(matrices, direction)))


def _check_flow_sizes(sequence: SequenceFiles) -> None:
    """Compare every flow file with the first picture, by its header: a wrong size would end a run much later."""
    paths = [path for path in sequence.labels.get("flow", ()) if path is not None and path.suffix == ".npy"]
    wanted = first_size(sequence) if paths else None
    for path in paths:
        found = npy_size(path)
        if wanted is not None and found != wanted:
            raise DatasetError(
                f"{path}: flow of {found[0]}x{found[1]}, but its frames are {wanted[0]}x{wanted[1]}; labels must have "
                "the frame's size"
            )
