"""The trained checkpoints: ``nano`` lies in the package, the large ones lie in a checkout of mostnet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from .errors import CheckpointError


def checkpoint_path(name: str) -> Path:
    """The checkpoint that a user names on a command line: a file, or a shipped checkpoint such as ``nano``.

    A file goes before a shipped checkpoint of its name, a shipped checkpoint goes before a folder. A large checkpoint
    is looked for in the checkout from which mostnet is imported, in the one that holds the virtual environment, and in
    the one that holds the working directory.

    Raises:
        CheckpointError: ``name`` is neither a file nor a shipped checkpoint, a large one that is not there, or the
            folder of a training run.
    """
    path = Path(name)
    if path.is_file() or path.suffix or path.name != name:
        return _no_run(path)
    packaged = packaged_checkpoints()
    if name in packaged:
        return packaged[name]
    is_large = name in _with_card()
    places = [checkout / "weights" / f"{name}.pt" for checkout in _checkouts()] if is_large else []
    for place in places:
        if place.is_file():
            return place
    if path.exists():
        return _no_run(path)
    if is_large:
        missing = f" (missing here: {', '.join(map(str, places))})" if places else ""
        raise CheckpointError(
            f"{name}: its weights are too large for the package; a checkout of mostnet has them as "
            f"weights/{name}.pt{missing}: give the path of that file"
        )
    known = ", ".join(sorted(shipped_names()))
    raise CheckpointError(f"{name}: neither a file nor a shipped checkpoint (shipped: {known or 'none'})")


def _no_run(path: Path) -> Path:
    """The path, unless it is the folder of a training run."""
    model = path / "model.pt"
    if model.is_file():
        raise CheckpointError(f"{path} is the folder of a training run: give {model}")
    return path


def packaged_checkpoints() -> dict[str, Path]:
    """The checkpoints inside the package, by variant."""
    return {path.stem: path for path in _package_folder().glob("*.pt")}


def shipped_names() -> set[str]:
    """The names of all shipped checkpoints, also of those that are not on this machine."""
    return packaged_checkpoints().keys() | _with_card()


def _package_folder() -> Path:
    return Path(str(files("mostnet"))) / "weights"


def _with_card() -> set[str]:
    """All variants that ship: the package has the model card of each."""
    return {path.stem for path in _package_folder().glob("*.md")}


def _checkouts() -> Iterator[Path]:
    """Checkouts of mostnet: of an editable install, around the virtual environment, around the working directory."""
    here = Path.cwd()
    folders = (_package_folder().parent.parent, Path(sys.prefix).parent, here, *here.parents)
    for folder in dict.fromkeys(folders):
        with suppress(OSError):  # a folder above that this user may not read
            if (folder / "api" / "VERSION").is_file() and (folder / "api" / "weights").is_dir():
                yield folder
