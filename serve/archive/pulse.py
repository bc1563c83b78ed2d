"""What a running task and the driver tell each other through small files, on one machine or on many."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import monotonic

from .folder import ArchiveFolder

#: Least time between two looks at the shared folder.
_EVERY_S = 1.0


class Pulse:
    """Tells how many frames of a task are done, and asks whether it is to stop."""

    def __init__(self, folder: ArchiveFolder, name: str) -> None:
        """``name`` is that of the task; no other task has it at the same time."""
        self._folder = folder
        self._file = folder.running / name
        self._told_s = self._asked_s = monotonic()
        self._stops = folder.stop.exists()

    def progress(self, done: int, total: int | None) -> None:
        """Note that ``done`` frames are written."""
        if monotonic() - self._told_s >= _EVERY_S:
            self._told_s = monotonic()
            with suppress(OSError):  # the count is only shown
                self._file.write_text(str(done), encoding="ascii")

    def stop(self) -> bool:
        """Whether the task is to stop."""
        if not self._stops and monotonic() - self._asked_s >= _EVERY_S:
            self._asked_s = monotonic()
            self._stops = self._folder.stop.exists()
        return self._stops

    def end(self) -> None:
        """Remove the count."""
        self._file.unlink(missing_ok=True)


def frames_running(folder: ArchiveFolder) -> int:
    """Frames that running tasks have written."""
    return sum(
        _count(file) for file in folder.running.glob("[!.]*")
    )  # a network file system keeps removed files as .nfs


def _count(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii") or 0)
    except (OSError, ValueError):  # it ended, or is just being written
        return 0
