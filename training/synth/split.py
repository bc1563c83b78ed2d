"""The folder of a split that is being written: what it will hold, and what of it is there already.

OUT/SPLIT/unfinished.json says how the split is made; at the end it becomes ``dataset.json``. Until then, training and
evaluation refuse the split, and the same command continues it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mostnet.contract import DatasetError, staging_folder
from mostnet.contract.versions import mostnet_version
from mostnet.training.data.dataset import SPLITS, UNFINISHED, index_sequence
from mostnet.training.data.layout import LABELS
from mostnet.training.data.lock import alone

_DESCRIPTION = "dataset.json"


@contextmanager
def split_folder(
    out: Path,
    split: str,
    record: Mapping[str, Any],
    *,
    seeds: range | None = None,
    versions: Mapping[str, str] | None = None,
    resumes: bool = True,
) -> Iterator[Path]:
    """Lend the folder of a new split, or of one that was begun in the same way; ``dataset.json`` appears at the end.

    Args:
        record: how the split is made, in values for JSON.
        seeds: of its sequences.
        versions: of libraries beside mostnet, numpy and OpenCV.
        resumes: false if ``record`` does not tell everything, so that a split that was begun cannot be continued.

    Raises:
        DatasetError: no such split, the folder holds another split, or another process writes it.
    """
    if split not in SPLITS:
        raise DatasetError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    folder = out / split
    document = {
        "split": split,
        "seeds": None if seeds is None else [seeds.start, seeds.stop - 1],
        **record,
        "versions": {
            "mostnet": mostnet_version(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            **(versions or {}),
        },
    }
    if not folder.exists():
        _begin(folder, document)
    elif not resumes or not (folder / UNFINISHED).is_file():
        found = "is complete already" if (folder / _DESCRIPTION).is_file() else "exists"
        raise DatasetError(f"{folder} {found}; to write it anew, remove it, or write to another folder than {out}")
    with alone(folder, "writes it"):
        _check_same(folder, document)
        yield folder
        (folder / UNFINISHED).replace(folder / _DESCRIPTION)


def is_written(folder: Path, *, frames: int) -> bool:
    """Whether a sequence is there with all its files; an incomplete one is removed."""
    if not folder.exists():
        return False
    try:
        found = index_sequence(folder)
        files = [*found.input, *(file for label in LABELS for file in found.labels.get(label, ()) if file)]
        whole = len(files) == frames * (1 + len(LABELS)) and all(file.stat().st_size for file in files)
    except DatasetError:
        whole = False
    if not whole:
        shutil.rmtree(folder)
    return whole


def _begin(folder: Path, document: Mapping[str, Any]) -> None:
    with staging_folder(folder.parent) as temporary:
        begun = temporary / folder.name
        begun.mkdir()
        (begun / UNFINISHED).write_text(json.dumps(document, indent=2), encoding="utf-8")
        try:
            begun.rename(folder)
        except OSError:
            if not folder.exists():  # otherwise another process was faster, and ``alone`` says so
                raise


def _check_same(folder: Path, document: Mapping[str, Any]) -> None:
    """Refuse to continue a split with other options: its sequences would not belong together."""
    path = folder / UNFINISHED
    try:
        before = _flat(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); remove {folder}, and start again") from error
    now = _flat(json.loads(json.dumps(document)))
    for name in now | before:
        if before.get(name) != now.get(name):
            raise DatasetError(
                f"{folder} was begun with {name} {before.get(name)}, and cannot be continued with {now.get(name)}; "
                f"give the same options, or remove {folder}"
            )


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The entries of nested mappings under joined names: ``options.fps``."""
    entries: dict[str, Any] = {}
    for name, value in document.items():
        entries |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return entries
