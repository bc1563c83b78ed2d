"""Data sets on disk: the sequences of a split, and their frames. There are two layouts, ours and the published one.

    ROOT/{train,val,test}/SEQUENCE/input/000000.png      degraded frames, PNG or JPEG
                                  /reference/000000.png  high-quality frames
                                  /mask/000000.png       teeth, white on black; see ``pictures.read_mask``
                                  /flow/000001.flo       backward flow to the previous frame, or a KITTI 16-bit PNG;
                                                         the first frame needs none

    ROOT/{train,val,test}/SEQUENCE/input/41070.jpg       Vident-real as it is published: the same labels,
                                  /GT/41070.png
                                  /masks/41070.png
                                  /OF_backw/41071.npy    float32 (H, W, 2); not for the first frame
                                  /homo_4df.pkl          matrices of the camera's motion; see ``matrix_direction``

Frames come in the order of the numbers in their file names. In our layout the names (without suffix) agree between
folders, in the published one their numbers do. A sequence may lack any label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mostnet.contract import DatasetError, Frame, natural_key
from mostnet.contract.metrics import Flow, Mask, Valid
from mostnet.contract.pictures import PICTURES, picture_files
from mostnet.video.steady.similarity import Similarity

from .flow_files import read_flow
from .guesses import SEQUENCE_WORDS, SPLIT_WORDS, question
from .layout import LABELS, OURS, VIDENT, SequenceLayout, label_files, layout_of
from .matrices import Matrices
from .matrix_direction import as_similarity, similarity_flow
from .oddities import say_gaps
from .pictures import read_mask, read_picture

SPLITS = ("train", "val", "test")
#: File in the folder of a split that ``mostnet-synth`` has begun and not finished.
UNFINISHED = "unfinished.json"
#: Tasks of the network; their labels are, in the same order, ``reference``, ``flow`` and ``mask``.
TASKS = ("enhance", "flow", "mask")


@dataclass(frozen=True)
class SequenceFiles:
    """The files of one sequence.

    Attributes:
        name: name of its folder.
        folder: path of its folder.
        input: the degraded frames, in order.
        labels: files of each label that the sequence has (``reference``, ``mask``, ``flow``), one per frame. That of a
            first frame's flow may be None.
        layout: where the labels are.
        motion: matrix of each frame that maps its pixel ``(x, y, 1)`` to its place in the previous frame; None if there
            is none, or until ``published.with_motion`` has read it.
    """

    name: str
    folder: Path
    input: tuple[Path, ...]
    labels: dict[str, tuple[Path | None, ...]] = field(default_factory=dict)
    layout: SequenceLayout = OURS
    motion: Matrices | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.input)

    @property
    def matrices(self) -> Path | None:
        """The file of the motion matrices; None if the sequence has none."""
        path = self.folder / (self.layout.matrices or "")
        return path if self.layout.matrices and (path.exists() or path.is_symlink()) else None

    @property
    def has_flow(self) -> bool:
        """Whether its frames have a flow label, from files or from the matrices."""
        return "flow" in self.labels or self.motion is not None


@dataclass(frozen=True)
class LabelledFrame:
    """One frame and its labels; None for a missing label.

    Attributes:
        input: uint8 ``(H, W, 3)`` BGR.
        reference: like ``input``.
        mask: uint8 ``(H, W)``, 255 on teeth and 0 elsewhere.
        flow: float32 ``(2, H, W)`` in pixels, backward, zero where unknown.
        valid: bool ``(H, W)``: the flow is known; None if ``flow`` is None.
        motion: the published motion of the teeth, from a pixel to its place in the previous frame; None if unknown.
    """

    input: Frame
    reference: Frame | None = None
    mask: Mask | None = None
    flow: Flow | None = None
    valid: Valid | None = None
    motion: Similarity | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.input.shape[0], self.input.shape[1]


def index_split(
    root: Path, split: str, *, partial_flow: bool = False, advice: str | None = None
) -> tuple[SequenceFiles, ...]:
    """Find the sequences of a split, in the order of the numbers in their names. No file is opened.

    A warning says if frames are missing within sequences.

    Args:
        partial_flow: as for ``index_sequence``.
        advice: what to do if there is no such folder; by default to name another split.

    Raises:
        DatasetError: no such folder, photographs in place of sequences, an unfinished split, no sequences, a
            sequence without frames, two files for one frame, a label whose files do not match the frames, or one
            that only some sequences of Vident-real have.
    """
    folder = root / split
    _refuse_photographs(root, split)
    if not folder.is_dir():
        present = sorted((path.name for path in root.glob("*/")), key=natural_key) if root.is_dir() else []
        found = f"found {', '.join(present[:8])}" if present else "found nothing"
        asked = question(root, [split], SPLIT_WORDS)
        wanted = split
        if advice is None:
            others = [name for name in SPLITS if name in present]
            wanted = split if others else ", ".join(SPLITS)
            advice = f"--split {others[-1]} takes another" if others else ""
        tail = f"; {advice}" if advice else ""
        raise DatasetError(f"{folder}: no such split; {root} should hold {wanted}, {found}{asked}{tail}")
    if (folder / UNFINISHED).exists():
        raise DatasetError(
            f"{folder}: unfinished, because mostnet-synth was stopped or still writes; run its command again, or "
            f"remove {folder / UNFINISHED} to use the sequences that are there"
        )
    sequences = _of_one_layout([index_sequence(path, partial_flow=partial_flow) for path in sequence_folders(folder)])
    if not sequences:
        raise DatasetError(f"{folder}: no sequences; expected folders that hold input/000000.png and so on")
    _check_whole(sequences)
    say_gaps([sequence.input for sequence in sequences])
    return sequences


def _refuse_photographs(root: Path, split: str) -> None:
    for folder in (root / split, root):
        if all((folder / name).is_dir() and not (folder / name / "input").exists() for name in ("image", "mask")):
            raise DatasetError(
                f"{folder}: these are photographs, but expected sequences; mostnet-train takes them with "
                f"--photos {folder}, beside a data set of sequences"
            )


def sequence_folders(folder: Path) -> list[Path]:
    """The folders of the sequences of a split, in the order of the numbers in their names; empty without a split."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if path.is_dir() and not path.name.startswith(".")), key=natural_key)


def index_sequence(folder: Path, *, partial_flow: bool = False) -> SequenceFiles:
    """Find the files of one sequence.

    Args:
        partial_flow: some frames may lack their flow, whose file is then None.

    Raises:
        DatasetError: no frames, two files for one frame, a label whose files do not match the frames, or one that is no
            folder or has a similar name; both layouts in one folder.
    """
    frames = picture_files(folder / "input")
    if not frames:
        asked = question(folder, ["input"], SEQUENCE_WORDS)
        raise DatasetError(f"{folder}: no frames in input/; expected {', '.join(PICTURES)} files{asked}")
    layout = layout_of(folder)
    labels = {
        label: label_files(folder, layout, label, frames, partial=partial_flow)
        for label in LABELS
        if (folder / layout.folders[label]).is_dir() and not (label == "flow" and _is_empty_published(folder, layout))
    }
    return SequenceFiles(folder.name, folder, frames, labels, layout)


def _of_one_layout(sequences: Sequence[SequenceFiles]) -> tuple[SequenceFiles, ...]:
    """The sequences, of which those without labels have the published layout if others have it."""
    if not any(sequence.layout is VIDENT for sequence in sequences):
        return tuple(sequences)
    return tuple(sequence if sequence.labels else replace(sequence, layout=VIDENT) for sequence in sequences)


def _is_empty_published(folder: Path, layout: SequenceLayout) -> bool:
    """Whether the published folder of the flow is there without a file, which is as if it were missing."""
    return layout is VIDENT and not picture_files(folder / layout.folders["flow"], layout.flow_suffixes)


def _check_whole(sequences: tuple[SequenceFiles, ...]) -> None:
    """Refuse a sequence of Vident-real without a picture label that others have: its copy is not complete.

    Raises:
        DatasetError: names the folder that is missing.
    """
    published = [sequence for sequence in sequences if sequence.layout is VIDENT]
    for label in ("reference", "mask"):
        lacking = [sequence for sequence in published if label not in sequence.labels]
        if lacking and len(lacking) < len(published):
            raise DatasetError(
                f"{lacking[0].folder / VIDENT.folders[label]}: no such folder, but {len(published) - len(lacking)} of "
                f"{len(published)} sequences have it; copy it again, or remove the sequence"
            )


def read_labelled_frame(
    sequence: SequenceFiles, index: int, *, size_hw: tuple[int, int] | None = None
) -> LabelledFrame:
    """Read frame ``index`` of a sequence with every label that the sequence has.

    Args:
        size_hw: height and width of the sequence, if the frame must have them.

    Raises:
        DatasetError: a file is missing, damaged, or of another size than the input frame; the frame has another size
            than its sequence.
    """
    frame = read_picture(sequence.input[index])
    if size_hw is not None and frame.shape[:2] != size_hw:
        raise DatasetError(
            f"{sequence.input[index]}: is {frame.shape[0]}x{frame.shape[1]}, but its sequence is "
            f"{size_hw[0]}x{size_hw[1]}; all frames of a sequence must have one size"
        )
    reference = mask = flow = valid = None
    if (path := _label(sequence, "reference", index)) is not None:
        reference = _same_size(read_picture(path), frame, path)
    if (path := _label(sequence, "mask", index)) is not None:
        mask = _same_size(read_mask(path), frame, path)
    if (path := _label(sequence, "flow", index)) is not None:
        flow, valid = read_flow(path)
        _same_size(valid, frame, path)
    size_hw, motion = (frame.shape[0], frame.shape[1]), None
    if sequence.motion is not None and index:
        motion = as_similarity(sequence.motion[index], size_hw)
        if "flow" not in sequence.labels:
            flow, valid = similarity_flow(sequence.motion[index], size_hw)
            valid = valid if mask is None else valid & (mask > 0)  # the rest of a mouth moves in other ways
    if flow is None and sequence.has_flow:
        flow, valid = np.zeros((2, *size_hw), np.float32), np.zeros(size_hw, np.bool_)
    return LabelledFrame(frame, reference, mask, flow, valid, motion)


def first_size(sequence: SequenceFiles) -> tuple[int, int] | None:
    """Height and width of the first readable input frame of a sequence; None if there is none."""
    for path in sequence.input:
        try:
            picture = read_picture(path)
        except DatasetError:
            continue  # reported when the frame itself is read
        return picture.shape[0], picture.shape[1]
    return None


def _label(sequence: SequenceFiles, label: str, index: int) -> Path | None:
    return sequence.labels[label][index] if label in sequence.labels else None


def _same_size(label: npt.NDArray[Any], frame: Frame, path: Path) -> npt.NDArray[Any]:
    if label.shape[:2] != frame.shape[:2]:
        found, wanted = (f"{a.shape[0]}x{a.shape[1]}" for a in (label, frame))
        raise DatasetError(f"{path}: is {found}, but its input frame is {wanted}; labels must have the frame's size")
    return label
