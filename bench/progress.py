"""Progress of a benchmark, drawn between frames: a drawing thread would disturb the timings."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

#: Least time between two drawings. One takes about a millisecond and displaces the caches' content.
_EVERY_S = 0.5


class PartProgress:
    """One line per part, on a terminal only, removed when the ``with`` block ends."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._lines = Progress(
            *columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
        )
        self._tasks: dict[str, TaskID] = {}
        self._drawn_s = 0.0

    def update(self, part: str, done: int, frames: int) -> None:
        """Show that ``done`` of ``frames`` in ``part`` are done."""
        now_s = time.perf_counter()
        if part in self._tasks and done < frames and now_s - self._drawn_s < _EVERY_S:
            return
        if part not in self._tasks:
            self._tasks[part] = self._lines.add_task(part, total=frames)
        self._lines.update(self._tasks[part], completed=done, refresh=True)
        self._drawn_s = time.perf_counter()

    def __enter__(self) -> PartProgress:
        self._lines.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.stop()
