"""Data sets on disk, in the layout of Vident: the sequences of a split, and their frames.

    ROOT/{train,val,test}/SEQUENCE/input/000000.png      degraded frames, PNG or JPEG
                                  /reference/000000.png  high-quality frames
                                  /mask/000000.png       teeth, white on black; see ``pictures.read_mask``
                                  /flow/000000.flo       backward flow to the previous frame, or a KITTI 16-bit PNG

Frames come in the order of the numbers in their file names, and the names (without suffix) agree between folders. A
sequence may lack any of the last three folders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from mostnet.contract import DatasetError, Frame, natural_key
from mostnet.contract.metrics import Flow, Mask, Valid
from mostnet.contract.pictures import PICTURES, picture_files

from .flow_files import read_flow
from .oddities import say_gaps
from .pictures import read_mask, read_picture

SPLITS = ("train", "val", "test")
LABELS = ("reference", "mask", "flow")
#: File in the folder of a split that ``mostnet-synth`` has begun and not finished.
UNFINISHED = "unfinished.json"
#: Tasks of the network; their labels are, in the same order, ``reference``, ``flow`` and ``mask``.
TASKS = ("enhance", "flow", "mask")

_SUFFIXES = {"input": PICTURES, "reference": PICTURES, "mask": PICTURES, "flow": (".flo", ".png")}


@dataclass(frozen=True)
class SequenceFiles:
    """The files of one sequence.

    Attributes:
        name: name of its folder.
        folder: path of its folder.
        input: the degraded frames, in order.
        labels: files of each label that the sequence has (``reference``, ``mask``, ``flow``), one per frame.
    """

    name: str
    folder: Path
    input: tuple[Path, ...]
    labels: dict[str, tuple[Path, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.input)


@dataclass(frozen=True)
class LabelledFrame:
    """One frame and its labels; None for a missing label.

    Attributes:
        input: uint8 ``(H, W, 3)`` BGR.
        reference: like ``input``.
        mask: uint8 ``(H, W)``, 255 on teeth and 0 elsewhere.
        flow: float32 ``(2, H, W)`` in pixels, backward, zero where unknown.
        valid: bool ``(H, W)``: the flow is known; None if ``flow`` is None.
    """

    input: Frame
    reference: Frame | None = None
    mask: Mask | None = None
    flow: Flow | None = None
    valid: Valid | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.input.shape[0], self.input.shape[1]


def index_split(root: Path, split: str) -> tuple[SequenceFiles, ...]:
    """Find the sequences of a split, in the order of the numbers in their names. No file is opened.

    A warning says if frames are missing within sequences.

    Raises:
        DatasetError: no such folder, an unfinished split, no sequences, a sequence without frames, two files for one
            frame, or a label whose files do not match the frames.
    """
    folder = root / split
    if not folder.is_dir():
        present = sorted((path.name for path in root.glob("*/")), key=natural_key) if root.is_dir() else []
        found = f"found {', '.join(present[:8])}" if present else "found nothing"
        raise DatasetError(f"{folder}: no such split; {root} should hold {', '.join(SPLITS)}, {found}")
    if (folder / UNFINISHED).exists():
        raise DatasetError(
            f"{folder}: unfinished, because mostnet-synth was stopped or still writes; run its command again, or "
            f"remove {folder / UNFINISHED} to use the sequences that are there"
        )
    folders = sorted((path for path in folder.iterdir() if _is_sequence(path)), key=natural_key)
    sequences = tuple(index_sequence(path) for path in folders)
    if not sequences:
        raise DatasetError(f"{folder}: no sequences; expected folders that hold input/000000.png and so on")
    say_gaps([sequence.input for sequence in sequences])
    return sequences


def index_sequence(folder: Path) -> SequenceFiles:
    """Find the files of one sequence.

    Raises:
        DatasetError: no frames, two files for one frame, a label whose files do not match the frames, or one that is no
            folder or has a similar name.
    """
    frames = picture_files(folder / "input")
    if not frames:
        raise DatasetError(f"{folder}: no frames in input/; expected {', '.join(PICTURES)} files")
    _check_names(folder)
    labels = {label: picture_files(folder / label, _SUFFIXES[label]) for label in LABELS if (folder / label).is_dir()}
    for label, files in labels.items():
        if len(files) != len(frames):
            raise DatasetError(
                f"{folder}: {label} has {len(files)} files, expected {len(frames)}, one per input frame; "
                f"add the missing files, or remove the folder if the sequence has no {label}"
            )
        for frame, file in zip(frames, files, strict=True):
            if frame.stem != file.stem:
                raise DatasetError(
                    f"{folder}: input/{frame.name} and {label}/{file.name} have different file names; "
                    f"rename the files of one folder, so that each label has the name of its frame"
                )
    return SequenceFiles(folder.name, folder, frames, labels)


def _check_names(folder: Path) -> None:
    """Refuse what looks like a label but would be passed over: a broken link ``mask``, or a folder ``Masks``."""
    for path in folder.iterdir():
        label = next((label for label in LABELS if path.name.lower() in (label, f"{label}s")), None)
        if label is not None and not path.is_dir():
            raise DatasetError(f"{path}: expected a folder of the {label} files; remove it, or mend the link")
        if label is not None and path.name != label:
            raise DatasetError(f"{path}: the folder of the {label} files is called {label}; rename it")


def read_labelled_frame(sequence: SequenceFiles, index: int) -> LabelledFrame:
    """Read frame ``index`` of a sequence with every label that the sequence has.

    Raises:
        DatasetError: a file is missing, damaged, or of another size than the input frame.
    """
    frame = read_picture(sequence.input[index])
    reference = mask = flow = valid = None
    if "reference" in sequence.labels:
        path = sequence.labels["reference"][index]
        reference = _same_size(read_picture(path), frame, path)
    if "mask" in sequence.labels:
        path = sequence.labels["mask"][index]
        mask = _same_size(read_mask(path), frame, path)
    if "flow" in sequence.labels:
        path = sequence.labels["flow"][index]
        flow, valid = read_flow(path)
        _same_size(valid, frame, path)
    return LabelledFrame(frame, reference, mask, flow, valid)


def first_size(sequence: SequenceFiles) -> tuple[int, int] | None:
    """Height and width of the first readable input frame of a sequence; None if there is none."""
    for path in sequence.input:
        try:
            picture = read_picture(path)
        except DatasetError:
            continue  # reported when the frame itself is read
        return picture.shape[0], picture.shape[1]
    return None


def _is_sequence(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _same_size(label: npt.NDArray[Any], frame: Frame, path: Path) -> npt.NDArray[Any]:
    if label.shape[:2] != frame.shape[:2]:
        found, wanted = (f"{a.shape[0]}x{a.shape[1]}" for a in (label, frame))
        raise DatasetError(f"{path}: is {found}, but its input frame is {wanted}; labels must have the frame's size")
    return label
