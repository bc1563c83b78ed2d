"""Compares the sizes of all files of a split by their headers, before a run begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mostnet.contract import DatasetError
from mostnet.contract.pictures import header_size

from .dataset import SequenceFiles
from .flow_files import flo_size, npy_size
from .pictures import read_picture


def check_same_size(sequences: Sequence[SequenceFiles]) -> None:
    """Check that all files of each sequence have one size. Files with a damaged header are left to those who read them.

    Raises:
        DatasetError: says how many files have another size than most frames of their sequence, and names the first.
    """
    odd, count, folders = [], 0, set()
    for sequence in sequences:
        frames = {path: _size(path) for path in sequence.input}
        known = Counter(size for size in frames.values() if size is not None)
        if not known:
            continue
        wanted = known.most_common(1)[0][0]
        labels = {path: _size(path) for files in sequence.labels.values() for path in files if path is not None}
        for path, size in (frames | labels).items():
            count += 1
            if size is not None and size != wanted:
                odd.append(f"{path} is {size[0]}x{size[1]}, but its sequence is {wanted[0]}x{wanted[1]}")
                folders.add(sequence.folder)
    if odd:
        raise DatasetError(
            f"{sequences[0].folder.parent}: {len(odd)} of {count} files, in {len(folders)} of {len(sequences)} "
            f"sequences, have another size than their sequence; the first: {odd[0]}; make all frames and labels of a "
            "sequence one size, or remove the sequence"
        )


def _size(path: Path) -> tuple[int, int] | None:
    """Height and width of a frame or label as it is read; None if the header is damaged."""
    try:
        if path.suffix.lower() in (".flo", ".npy"):
            return flo_size(path) if path.suffix.lower() == ".flo" else npy_size(path)
        size_hw, may_turn = header_size(path)
        if may_turn and size_hw[0] != size_hw[1]:
            height, width = read_picture(path).shape[:2]
            return height, width
    except DatasetError:
        return None
    return size_hw
