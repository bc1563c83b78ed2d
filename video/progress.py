"""Progress of a run: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY_S = 10.0


class RunProgress:
    """The ``progress`` callback of ``run``; it shows the mean speed of the run so far."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun_s = self._line_s = perf_counter()
        self._bar: Progress | None = None
        if console.is_terminal:
            speed = TextColumn("{task.fields[speed]}")
            columns = (BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("frames", total=None, speed="")

    def __call__(self, done: int, total: int | None) -> None:
        """Show that ``done`` frames of ``total`` are written."""
        now_s = perf_counter()
        speed = f"{done / (now_s - self._begun_s):.1f} FPS"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, speed=speed)
        elif now_s - self._line_s >= _LINE_EVERY_S:
            self._line_s = now_s
            self._console.print(f"{done} of {total or '?'} frames, {speed}")

    def __enter__(self) -> RunProgress:
        self._begun_s = self._line_s = perf_counter()
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
