"""Progress of a run: a bar on a terminal, a line once in a while elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

#: Least time between two lines.
_LINE_EVERY_S = 10.0
#: Most lines of a run whose number of frames is known.
_MOST_LINES = 20


class RunProgress:
    """The ``progress`` callback of ``run``; it shows the mean speed of the run so far and the time left.

    Attributes:
        label: comes before each line and the bar, unless it was empty at first; it may change.

    Without a terminal, lines are at least ten seconds apart. They come at most once for each twentieth of the frames.
    If the number of frames is unknown, the time between them grows with the time so far.
    """

    def __init__(self, console: Console, *, label: str = "") -> None:
        """``label``: see above."""
        self._console = console
        self.label = label
        self._begun_s = self._line_s = perf_counter()
        self._line_done = 0
        self._bar: Progress | None = None
        if console.is_terminal:
            name = TextColumn("{task.description}", markup=False)
            speed = TextColumn("{task.fields[speed]}")
            columns = (BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
            self._bar = Progress(*([name] if label else []), *columns, console=console, transient=True)
            self._task = self._bar.add_task(label, total=None, speed="")

    def __call__(self, done: int, total: int | None) -> None:
        """Show that ``done`` frames of ``total`` are written."""
        now_s = perf_counter()
        per_s = done / (now_s - self._begun_s)
        if self._bar is not None:
            self._bar.update(self._task, description=self.label, completed=done, total=total, speed=f"{per_s:.1f} FPS")
        elif self._is_due(now_s, done, total):
            self._line_s, self._line_done = now_s, done
            self._console.print(self._line(done, total, per_s), soft_wrap=True)

    def _is_due(self, now_s: float, done: int, total: int | None) -> bool:
        waited_s = now_s - self._line_s
        if waited_s < _LINE_EVERY_S:
            return False
        if total is None:
            return waited_s >= (self._line_s - self._begun_s) / 2
        return done < total and done - self._line_done >= total / _MOST_LINES

    def _line(self, done: int, total: int | None, per_s: float) -> str:
        label = f"{self.label}: " if self.label else ""
        if total is None:
            return f"{label}{done} frames, {per_s:.1f} FPS"
        left = timedelta(seconds=round((total - done) / per_s))
        return f"{label}{done} of {total} frames, {per_s:.1f} FPS, about {left} left"

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar away for the time of the block, which prints something."""
        if self._bar is not None:
            self._bar.stop()
        try:
            yield
        finally:
            if self._bar is not None:
                self._bar.start()

    def __enter__(self) -> RunProgress:
        self._begun_s = self._line_s = perf_counter()
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
