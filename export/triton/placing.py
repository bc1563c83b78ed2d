"""Puts new files and folders into a tree that a server may be reading, all of them or none."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from mostnet.contract.files import write_bytes


class Placing:
    """Moves things to their places, each by one renaming. If its block fails, the tree becomes what it was."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    def __enter__(self) -> Placing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._undo.close()

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it, where they are missing."""
        for folder in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
            self._undo.callback(_remove_empty, folder)
            folder.mkdir(exist_ok=True)

    def move_folder(self, source: Path, target: Path) -> None:
        """Move a folder to a place where nothing is, on the same file system."""
        self._undo.callback(_move_back, source, target)
        source.rename(target)

    def replace_text(self, target: Path, text: str) -> None:
        """Write a file, or replace it."""
        before = target.read_bytes() if target.exists() else None
        self._undo.callback(_write_back, target, before)
        write_bytes(target, text.encode())


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _move_back(source: Path, target: Path) -> None:
    if not source.exists():  # otherwise the move did not happen
        target.rename(source)


def _write_back(target: Path, before: bytes | None) -> None:
    if before is None:
        target.unlink(missing_ok=True)
    elif not target.exists() or target.read_bytes() != before:
        write_bytes(target, before)
