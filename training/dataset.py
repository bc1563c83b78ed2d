"""Vident-style data on disk: what a split holds, and its frames.

    ROOT/{train,val,test}/SEQUENCE/input/000000.png      degraded frames, PNG or JPEG
                                  /reference/000000.png  high-quality frames
                                  /mask/000000.png       teeth, foreground >= 128
                                  /flow/000000.flo       backward flow to the previous frame, or a KITTI 16-bit PNG

Files of a folder are taken in the order of their names, and names (without suffix) agree between folders. Each of the
last three folders may be missing from any sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import DatasetError
from mostnet.contract.metrics import Flow, Picture, Valid

from .flow_files import read_flow

SPLITS = ("train", "val", "test")
LABELS = ("reference", "mask", "flow")

_PICTURES = (".png", ".jpg", ".jpeg")
_SUFFIXES = {"input": _PICTURES, "reference": _PICTURES, "mask": _PICTURES, "flow": (".flo", ".png")}


@dataclass(frozen=True)
class SequenceFiles:
    """The files of one sequence.

    Attributes:
        name: the sequence's folder name.
        folder: where it is.
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
    """One frame and the labels that it has.

    Attributes:
        input: uint8 ``(H, W, 3)`` BGR.
        reference: like ``input``, or None.
        mask: uint8 ``(H, W)``, 255 on teeth and 0 elsewhere, or None.
        flow: float32 ``(2, H, W)`` in pixels, backward, zero where unknown, or None.
        valid: bool ``(H, W)``, where the flow is known; None where ``flow`` is.
    """

    input: Picture
    reference: Picture | None = None
    mask: Picture | None = None
    flow: Flow | None = None
    valid: Valid | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.input.shape[0], self.input.shape[1]


def index_split(root: Path, split: str) -> tuple[SequenceFiles, ...]:
    """Find the sequences of a split, in the order of their names. No file is opened.

    Raises:
        DatasetError: no such folder, no sequences, a sequence without frames, or a label with other files than there
            are frames.
    """
    folder = root / split
    if not folder.is_dir():
        present = sorted(path.name for path in root.glob("*/")) if root.is_dir() else []
        found = f"found {', '.join(present[:8])}" if present else "found nothing"
        raise DatasetError(f"{folder}: no such split; {root} should hold {', '.join(SPLITS)}, {found}")
    sequences = tuple(index_sequence(path) for path in sorted(folder.iterdir()) if _is_sequence(path))
    if not sequences:
        raise DatasetError(f"{folder}: no sequences; expected folders that hold input/000000.png and so on")
    return sequences


def index_sequence(folder: Path) -> SequenceFiles:
    """Find the files of one sequence.

    Raises:
        DatasetError: no frames, or a label with other files than there are frames.
    """
    frames = _files(folder, "input")
    if not frames:
        raise DatasetError(f"{folder}: no frames in input/; expected {', '.join(_PICTURES)} files")
    labels = {label: _files(folder, label) for label in LABELS if (folder / label).is_dir()}
    for label, files in labels.items():
        if len(files) != len(frames):
            raise DatasetError(
                f"{folder}: {label} has {len(files)} files, expected {len(frames)}, one per input frame; "
                f"add what is missing, or remove the folder if the sequence has no {label}"
            )
        strangers = sorted({path.stem for path in files} ^ {path.stem for path in frames})
        if strangers:
            raise DatasetError(f"{folder}: {label} and input have different file names, such as {strangers[0]}")
    return SequenceFiles(folder.name, folder, frames, labels)


def read_labelled_frame(sequence: SequenceFiles, index: int) -> LabelledFrame:
    """Read frame ``index`` of a sequence with every label that the sequence has.

    Raises:
        DatasetError: a file is missing, damaged, or of another size than the input frame; it is named.
    """
    frame = _read_picture(sequence.input[index], cv2.IMREAD_COLOR)
    reference = mask = flow = valid = None
    if "reference" in sequence.labels:
        path = sequence.labels["reference"][index]
        reference = _same_size(_read_picture(path, cv2.IMREAD_COLOR), frame, path)
    if "mask" in sequence.labels:
        path = sequence.labels["mask"][index]
        grey = _same_size(_read_picture(path, cv2.IMREAD_GRAYSCALE), frame, path)
        mask = np.where(grey >= 128, 255, 0).astype(np.uint8)
    if "flow" in sequence.labels:
        path = sequence.labels["flow"][index]
        flow, valid = read_flow(path)
        _same_size(valid, frame, path)
    return LabelledFrame(frame, reference, mask, flow, valid)


def first_size(sequence: SequenceFiles) -> tuple[int, int] | None:
    """Height and width of the first readable input frame of a sequence; None if there is none."""
    for path in sequence.input:
        try:
            picture = _read_picture(path, cv2.IMREAD_COLOR)
        except DatasetError:
            continue  # whoever reads the frame itself reports it
        return picture.shape[0], picture.shape[1]
    return None


def _is_sequence(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _files(folder: Path, kind: str) -> tuple[Path, ...]:
    found = (folder / kind).glob("*") if (folder / kind).is_dir() else ()
    return tuple(sorted(path for path in found if path.suffix.lower() in _SUFFIXES[kind] and path.name[0] != "."))


def _read_picture(path: Path, mode: int) -> Picture:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(data, mode) if data.size else None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); copy it again") from error
    if picture is None:
        raise DatasetError(f"{path}: not a picture, or damaged ({data.size} bytes); copy it again")
    return np.asarray(picture, np.uint8)


def _same_size(label: npt.NDArray[Any], frame: Picture, path: Path) -> npt.NDArray[Any]:
    if label.shape[:2] != frame.shape[:2]:
        found, wanted = (f"{a.shape[0]}x{a.shape[1]}" for a in (label, frame))
        raise DatasetError(f"{path}: is {found}, its input frame is {wanted}; labels have the size of the frame")
    return label
