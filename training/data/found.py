"""What a split holds, for people: sequences, frames, labels, and folders that are not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mostnet.contract import DatasetError
from mostnet.contract.terminal import counted

from .dataset import SequenceFiles
from .guesses import SEQUENCE_WORDS, meant
from .layout import LABELS, VIDENT


def describe(name: str, sequences: Sequence[SequenceFiles], *, needs_labels: bool = True) -> list[str]:
    """Lines on the split of this name: its layout, its labels and what is missing; and the folders that are not read.

    Raises:
        DatasetError: no sequence has a label, though ``needs_labels``.
    """
    unread = _unread(sequences)
    if needs_labels and not any(sequence.labels or sequence.matrices for sequence in sequences):
        folders = ", ".join(dict.fromkeys(sequences[0].layout.folders[label] for label in LABELS))
        raise DatasetError(
            f"{name}: none of the {counted(len(sequences), 'sequence')} has a label; expected one or more of the "
            f"folders {folders} beside input" + (f"; found {unread}" if unread else "")
        )
    layouts = sorted({sequence.layout.name for sequence in sequences})
    found, missing = _labels(sequences)
    line = (
        f"{name}: layout of {' and '.join(layouts)}, {counted(len(sequences), 'sequence')}, "
        f"{counted(sum(map(len, sequences)), 'frame')}; labels: {', '.join(found) or 'none'}; missing: "
        f"{', '.join(missing) or 'none'}"
    )
    return [line, *([f"{name}: not read: {unread}"] if unread else [])]


def _labels(sequences: Sequence[SequenceFiles]) -> tuple[list[str], list[str]]:
    """The labels, each with its number of sequences and frames; and the labels that some sequences lack."""
    counts = {
        "/".join(dict.fromkeys(s.layout.folders[label] for s in sequences)): [
            sum(file is not None for file in s.labels[label]) for s in sequences if label in s.labels
        ]
        for label in LABELS
    }
    if any(sequence.layout is VIDENT for sequence in sequences):
        counts[str(VIDENT.matrices)] = [len(sequence) for sequence in sequences if sequence.matrices is not None]
    found = [
        f"{name} in {_share(len(frames), len(sequences))} ({counted(sum(frames), 'frame')})"
        for name, frames in counts.items()
        if frames
    ]
    lacks = {name: len(sequences) - len(frames) for name, frames in counts.items()}
    missing = [
        name if lack == len(sequences) else f"{name} in {_share(lack, len(sequences))}"
        for name, lack in lacks.items()
        if lack
    ]
    return found, missing


def _unread(sequences: Sequence[SequenceFiles]) -> str:
    """Folders, and files of matrices, that have no name of the layout: how often each occurs, and what may be meant."""
    counts: Counter[str] = Counter()
    guesses: dict[str, str] = {}
    for sequence in sequences:
        layout = sequence.layout
        for path in sequence.folder.iterdir():
            if path.name in ("input", *layout.names) or path.name.startswith("."):
                continue
            if path.is_dir():
                guess = meant(path.name, SEQUENCE_WORDS)
                guesses[path.name] = layout.folders.get(guess or "", guess or "")
            elif layout.matrices is not None and path.suffix == ".pkl":
                guesses[path.name] = layout.matrices
            else:
                continue
            counts[path.name] += 1
    return ", ".join(
        f"{name} in {counted(count, 'sequence')}" + (f" (did you mean {guesses[name]}?)" if guesses[name] else "")
        for name, count in sorted(counts.items())
    )


def _share(count: int, whole: int) -> str:
    return counted(whole, "sequence") if count == whole else f"{count} of {counted(whole, 'sequence')}"
