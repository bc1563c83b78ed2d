"""Progress of a benchmark, drawn between frames: a thread that draws would take part in what is measured."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

#: Drawing takes about a millisecond, and the caches with it.
_EVERY_S = 0.5


class PartProgress:
    """A line for each part, on a terminal only; gone when the block ends."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
        self._lines = Progress(
            *columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
        )
        self._tasks: dict[str, TaskID] = {}
        self._drawn_s = 0.0

    def update(self, part: str, done: int, frames: int) -> None:
        """Show ``done`` of ``frames`` of ``part``."""
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
