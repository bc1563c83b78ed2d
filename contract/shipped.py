"""The trained checkpoints: ``nano`` lies in the package, the large ones lie in a checkout of mostnet."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from .errors import CheckpointError


def checkpoint_path(name: str) -> Path:
    """The checkpoint that a user names on a command line: a file, or a shipped checkpoint such as ``nano``.

    Raises:
        CheckpointError: ``name`` is neither a file nor a shipped checkpoint, or a large one and no checkout is here.
    """
    path = Path(name)
    if path.exists() or path.suffix or path.name != name:
        return path
    shipped = shipped_checkpoints()
    if name in shipped:
        return shipped[name]
    if name in _with_card():
        raise CheckpointError(
            f"{name}: its weights are too large for the package; a checkout of mostnet has them as weights/{name}.pt: "
            "run this in the checkout, or give the path of that file"
        )
    raise CheckpointError(
        f"{name}: neither a file nor a shipped checkpoint (shipped: {', '.join(sorted(shipped)) or 'none'})"
    )


def shipped_checkpoints() -> dict[str, Path]:
    """The checkpoints of the package, and those of the checkout around the working directory, by variant."""
    found = {path.stem: path for path in _package_folder().glob("*.pt")}
    large = _with_card() - found.keys()
    checkout = _checkout()
    if checkout is not None:
        found.update({name: path for name in large if (path := checkout / "weights" / f"{name}.pt").is_file()})
    return found


def _package_folder() -> Path:
    return Path(str(files("mostnet"))) / "weights"


def _with_card() -> set[str]:
    """All variants that ship: the package has the model card of each."""
    return {path.stem for path in _package_folder().glob("*.md")}


def _checkout() -> Path | None:
    """The checkout that holds the working directory, or the one from which mostnet is imported."""
    here = Path.cwd()
    for folder in (here, *here.parents, _package_folder().parent.parent):
        if (folder / "api" / "weights").is_dir() and (folder / "api" / "VERSION").is_file():
            return folder
    return None
