"""The two layouts of a sequence on disk, ours and that of the published Vident-real, and the files of its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mostnet.contract import DatasetError
from mostnet.contract.pictures import PICTURES, picture_files

LABELS = ("reference", "mask", "flow")


@dataclass(frozen=True)
class SequenceLayout:
    """Where a sequence keeps its labels.

    Attributes:
        name: shown to people.
        folders: folder of each label.
        flow_suffixes: suffixes of flow files.
        matrices: file of the motion matrices; None if the layout has none.
    """

    name: str
    folders: Mapping[str, str]
    flow_suffixes: tuple[str, ...]
    matrices: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all folders and files of labels."""
        return (*self.folders.values(), *(() if self.matrices is None else (self.matrices,)))

    def suffixes(self, label: str) -> tuple[str, ...]:
        """Suffixes of the files of a label."""
        return self.flow_suffixes if label == "flow" else PICTURES


OURS = SequenceLayout("mostnet", {label: label for label in LABELS}, (".flo", ".png"))
#: doi 10.34808/vjnh-9c35. File names are numbers without leading zeros, from any start. The first frame has no flow.
VIDENT = SequenceLayout(
    "Vident-real", {"reference": "GT", "mask": "masks", "flow": "OF_backw"}, (".npy",), matrices="homo_4df.pkl"
)

_LABEL = "; mostnet-label ROOT writes what is missing"
#: Names that are easily mistaken for a label's, in lower case, by layout.
_SIMILAR = {
    OURS.name: {
        **{similar: label for label in LABELS for similar in (label, f"{label}s")},
        **{name.lower(): label for label, name in VIDENT.folders.items()},
    },
    VIDENT.name: {
        **{similar: name for label, name in VIDENT.folders.items() for similar in (label, f"{label}s")},
        **{name.lower(): name for name in VIDENT.names},
    },
}


def layout_of(folder: Path) -> SequenceLayout:
    """The layout of a sequence; ours if it has no labels.

    Raises:
        DatasetError: it mixes both layouts, a label is no folder, or a name is similar to a label's.
    """
    entries = {path.name for path in folder.iterdir()}
    published, ours = (sorted(entries & set(layout.names)) for layout in (VIDENT, OURS))
    if published and ours:
        label = next((label for label, name in VIDENT.folders.items() if name == published[0]), "")
        advice = f"rename {published[0]} to {label}" if label and label not in ours else "remove one of them"
        raise DatasetError(
            f"{folder}: this sequence mixes the names of two layouts, {published[0]} of {VIDENT.name} and {ours[0]} of "
            f"{OURS.name}; {advice}"
        )
    layout = VIDENT if published else OURS
    _check_names(folder, layout)
    return layout


def label_files(
    folder: Path, layout: SequenceLayout, label: str, frames: tuple[Path, ...], *, partial: bool = False
) -> tuple[Path | None, ...]:
    """The files of a label, one for each frame. The first frame may lack its flow, which is then None.

    Args:
        partial: the flow may lack any file.

    Raises:
        DatasetError: two files for one frame, or files that do not match the frames.
    """
    name = layout.folders[label]
    files = picture_files(folder / name, layout.suffixes(label))
    if layout is VIDENT or (partial and label == "flow"):
        return _by_number(folder, name, frames, files, partial=partial and label == "flow", flow=label == "flow")
    if label == "flow" and 0 < len(files) == len(frames) - 1:
        return None, *_without_first(folder, name, frames, files)
    if len(files) != len(frames):
        raise DatasetError(
            f"{folder}: {name} has {len(files)} files, expected {len(frames)}, one per input frame; "
            f"add the missing files, or remove the folder if the sequence has no {name}"
            + (_LABEL if label == "flow" else "")
        )
    wanted, there = {frame.stem for frame in frames}, {file.stem for file in files}
    lacking = [frame.stem for frame in frames if frame.stem not in there]
    if lacking:
        spare = next(file.stem for file in files if file.stem not in wanted)
        raise DatasetError(
            f"{folder}: {name} has no {lacking[0]}, but has {spare} ({len(lacking)} of {len(files)} names differ from "
            f"input); rename the files, so that each label has the name of its frame"
        )
    return files


def _without_first(folder: Path, name: str, frames: tuple[Path, ...], files: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files of the flow if they have the names of all frames but the first."""
    if [file.stem for file in files] != [frame.stem for frame in frames[1:]]:
        raise DatasetError(
            f"{folder}: {name} has {len(files)} files, {files[0].name} to {files[-1].name}, for {len(frames)} frames; "
            f"it leads from each frame to the one before, and only the first, {frames[0].stem}, may lack it: give the "
            f"files the names of their frames{_LABEL}"
        )
    return files


def _by_number(
    folder: Path, name: str, frames: tuple[Path, ...], files: tuple[Path, ...], *, partial: bool, flow: bool
) -> tuple[Path | None, ...]:
    by_name = {_key(file): file for file in files}
    found = tuple(by_name.pop(_key(frame), None) for frame in frames)
    if by_name:
        stray = next(iter(by_name.values()))
        raise DatasetError(
            f"{folder}: {name}/{stray.name} has no frame in input ({len(by_name)} such files); "
            "add the frames, or remove the files"
        )
    missing = [frame for k, (frame, file) in enumerate(zip(frames, found, strict=True)) if file is None and k >= flow]
    if missing and not partial:
        advice = _LABEL if flow else "; add them, or remove the frames"
        raise DatasetError(
            f"{folder}: {name} has no file for input/{missing[0].name} ({len(missing)} of {len(frames)} frames){advice}"
        )
    return found


def _key(path: Path) -> int | str:
    return int(path.stem) if path.stem.isdecimal() else path.stem


def _check_names(folder: Path, layout: SequenceLayout) -> None:
    """Refuse what looks like a label but would be passed over: a broken link ``mask``, or a folder ``Masks``."""
    labels = {name: label for label, name in layout.folders.items()}
    for path in folder.iterdir():
        name = _SIMILAR[layout.name].get(path.name.lower())
        if name is None or name == layout.matrices:
            continue
        if not path.is_dir():
            raise DatasetError(f"{path}: expected a folder of the {labels[name]} files; remove it, or mend the link")
        if path.name != name:
            raise DatasetError(f"{path}: the folder of the {labels[name]} files is called {name}; rename it")
