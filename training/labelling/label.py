"""Write the flow labels that the sequences of a split lack."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mostnet.contract import DatasetError, write_text
from mostnet.contract.versions import installed_versions
from mostnet.training.data.dataset import SPLITS, SequenceFiles, index_split
from mostnet.training.data.flow_files import write_flow
from mostnet.training.data.layout import OURS, VIDENT
from mostnet.training.data.lock import alone
from mostnet.training.data.pictures import read_picture

from .methods import LabelMethod, checked_flow

#: File in the folder of a split that says how its labels were made.
RECORD = "flow_labels.json"
SOURCES = ("auto", "reference", "input")
_SUFFIX = {OURS.name: ".flo", VIDENT.name: ".npy"}


@dataclass(frozen=True)
class LabelledSplit:
    """The work on one split.

    Attributes:
        folder: of the split.
        written: flow files written now.
        present: flow files that were there before.
        valid_share: share of the pixels of the written files that the forward-backward check confirmed.
    """

    folder: Path
    written: int
    present: int
    valid_share: float

    def __str__(self) -> str:
        confirmed = f", {self.valid_share:.1%} of their pixels confirmed" if self.written else ""
        return f"{self.folder}: {self.written} flow files written{confirmed}; {self.present} were there"


def splits_of(root: Path) -> tuple[str, ...]:
    """The splits that a data set has.

    Raises:
        DatasetError: it has none.
    """
    found = tuple(split for split in SPLITS if (root / split).is_dir())
    if not found:
        index_split(root, SPLITS[0])  # says what is there instead
    return found


def frames_to_label(root: Path, splits: tuple[str, ...]) -> int:
    """Number of flow files that the splits lack."""
    return sum(len(_missing(s)) for split in splits for s in index_split(root, split, partial_flow=True))


def label_split(
    root: Path, split: str, method: LabelMethod, *, pictures: str = "auto", progress: Callable[[], None] | None = None
) -> LabelledSplit:
    """Write the backward flow of every frame that has none, each file whole or not at all.

    A first frame gets none. An interrupted run is continued by the next one.

    Args:
        method: finds the flow.
        pictures: ``reference``, ``input``, or ``auto``: the reference if the sequence has it, because it is cleaner.
        progress: called after each file.

    Raises:
        DatasetError: the split or a picture of it cannot be read, another process labels it, or labels of another
            method are in it.
    """
    folder = root / split
    if not folder.is_dir():
        index_split(root, split)  # says what is there instead
    shares = []
    with alone(folder, "labels it"):
        sequences = index_split(root, split, partial_flow=True)
        missing = [(sequence, index) for sequence in sequences for index in _missing(sequence)]
        if not missing:
            return LabelledSplit(folder, 0, sum(map(_present, sequences)), 0.0)
        _keep_record(folder, method, pictures)
        for sequence, index in missing:
            shares.append(_write_label(sequence, index, method, pictures))
            if progress is not None:
                progress()
    return LabelledSplit(folder, len(missing), sum(map(_present, sequences)), float(np.mean(shares)))


def _missing(sequence: SequenceFiles) -> list[int]:
    files = sequence.labels.get("flow") or (None,) * len(sequence)
    return [index for index in range(1, len(sequence)) if files[index] is None]


def _present(sequence: SequenceFiles) -> int:
    return sum(path is not None for path in sequence.labels.get("flow", ()))


def _write_label(sequence: SequenceFiles, index: int, method: LabelMethod, pictures: str) -> float:
    """Write one file; returns the share of its pixels that is known."""
    files = _pictures(sequence, pictures)
    frame, previous = read_picture(files[index]), read_picture(files[index - 1])
    if previous.shape != frame.shape:
        raise DatasetError(f"{files[index]}: another size than the frame before it; all must have one size")
    flow, valid = checked_flow(method.find, frame, previous)
    folder = sequence.folder / sequence.layout.folders["flow"]
    folder.mkdir(exist_ok=True)
    write_flow(folder / f"{sequence.input[index].stem}{_SUFFIX[sequence.layout.name]}", flow, valid)
    return float(valid.mean())


def _pictures(sequence: SequenceFiles, pictures: str) -> tuple[Path, ...]:
    reference = tuple(path for path in sequence.labels.get("reference", ()) if path is not None)
    if pictures == "reference" and not reference:
        raise DatasetError(f"{sequence.folder}: has no reference pictures; take --pictures input")
    return reference if reference and pictures != "input" else sequence.input


def _keep_record(folder: Path, method: LabelMethod, pictures: str) -> None:
    """Write how the labels are made; labels of two methods in one split would be told apart by nobody.

    Raises:
        DatasetError: the record of an earlier run names another method.
    """
    path = folder / RECORD
    made_by = {"method": method.name, "weights_sha256": method.weights_sha256, "pictures": pictures}
    if path.is_file():
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8-sig")))
        except (ValueError, TypeError) as error:
            raise DatasetError(
                f"{path}: no JSON object ({error}); remove it, and the flow files that it describes"
            ) from error
        if {name: before.get(name) for name in made_by} != made_by:
            raise DatasetError(
                f"{folder}: was begun with {_described(before)}, now given {_described(made_by)}; "
                f"give the same, or remove {path} and the flow files of that run"
            )
        return
    document = {**made_by, "versions": installed_versions(("mostnet", "torch", "torchvision", "opencv-python"))}
    write_text(path, json.dumps(document, indent=1))


def _described(record: Mapping[str, object]) -> str:
    weights = record.get("weights_sha256")
    return f"{record.get('method')} on {record.get('pictures')}" + (f" ({str(weights)[:8]})" if weights else "")
