"""Progress of the long steps of an export: one line each, with its elapsed time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text


class StepProgress:
    """The line of one step, with counts beside its name."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._task = progress.add_task(title, total=None)

    def update(self, done: int, total: int | None, *, phase: str = "") -> None:
        """Show ``done`` of ``total``, and the phase if the step has several."""
        title = f"{self._title}: {phase}" if phase else self._title
        self._progress.update(self._task, completed=done, total=total, description=title)

    def finish(self) -> None:
        """Show the step as complete."""
        self._progress.update(self._task, total=1, completed=1, description=self._title)


def say(console: Console, line: str) -> None:
    """Print a line as it is: a name such as ``a[/b]`` is no markup, whatever the console's settings."""
    console.print(Text(line), soft_wrap=True)


@contextmanager
def show_step(console: Console, title: str) -> Iterator[StepProgress]:
    """A progress line for the length of the block."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        step = StepProgress(progress, title)
        yield step
        step.finish()
