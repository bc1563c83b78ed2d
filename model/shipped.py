"""The trained checkpoints inside the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mostnet.contract import CheckpointError


def checkpoint_path(name: str) -> Path:
    """The checkpoint that a user names on a command line: a file, or a shipped checkpoint such as ``nano``.

    Raises:
        CheckpointError: ``name`` is neither a file nor a shipped checkpoint.
    """
    path = Path(name)
    if path.exists() or path.suffix or path.name != name:
        return path
    shipped = shipped_checkpoints()
    if name not in shipped:
        raise CheckpointError(
            f"{name}: neither a file nor a shipped checkpoint (shipped: {', '.join(sorted(shipped)) or 'none'})"
        )
    return shipped[name]


def shipped_checkpoints() -> dict[str, Path]:
    """The checkpoints that come with mostnet, by variant."""
    folder = Path(str(files("mostnet"))) / "weights"
    return {path.stem: path for path in folder.glob("*.pt")}
