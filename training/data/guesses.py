"""Guesses of what a folder of a wrong name was meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

#: Words for each folder of a sequence, for each split, and for each folder of photographs.
SEQUENCE_WORDS = {
    "input": ("input", "degraded", "blurred", "noisy", "low_quality", "lq", "frames", "images", "rgb"),
    "reference": ("reference", "ground_truth", "gt", "target", "clean", "sharp", "high_quality", "hq"),
    "mask": ("mask", "segmentation", "teeth", "tooth", "annotation"),
    "flow": ("flow", "optical_flow", "of_backw", "motion"),
}
SPLIT_WORDS = {"train": ("train", "training"), "val": ("val", "validation", "dev"), "test": ("test", "testing")}
PHOTO_WORDS = {"image": ("image", "input", "photograph", "picture"), "mask": SEQUENCE_WORDS["mask"]}
#: Least likeness of a name and a word, from 0 to 1.
_ALIKE = 0.7


def meant(name: str, words: Mapping[str, Iterable[str]]) -> str | None:
    """The key whose words are most like a name, in any case of letters; None if no word is like it."""
    keys = {word: key for key, some in words.items() for word in some}
    found = get_close_matches(name.lower().replace("-", "_").replace(" ", "_"), keys, n=1, cutoff=_ALIKE)
    return keys[found[0]] if found else None


def question(parent: Path, wanted: Iterable[str], words: Mapping[str, Iterable[str]]) -> str:
    """``; frames: did you mean input?`` for the first entry of a folder that may be one of those wanted; else empty."""
    wanted = set(wanted)
    for path in sorted(parent.iterdir()) if parent.is_dir() else ():
        guess = meant(path.name, words)
        if guess in wanted and path.name != guess:
            return f"; {path.name}: did you mean {guess}?"
    return ""
