"""The engine of a worker, kept open from task to task."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mostnet.contract import MASK, OutputName
from mostnet.engine import Engine
from mostnet.video.run import outputs_needed

from .records import Place, RunOptions


class EngineKeeper:
    """Keeps the latest engine open, and closes it for another one."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._what: object = None

    def open(self, file: Path, outputs: tuple[OutputName, ...], place: Place) -> Engine:
        """The engine of a file; errors as in ``Engine``."""
        what = (file, outputs, place)
        if self._engine is None or what != self._what:
            self.close()
            self._engine = Engine(file, outputs=outputs, threads=place.threads, provider=place.provider)
            self._what = what
        return self._engine

    def close(self) -> None:
        """Close it, if one is open."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None


@cache
def keeper() -> EngineKeeper:
    """The keeper of this process."""
    return EngineKeeper()


def opened(file: Path, options: RunOptions, place: Place) -> Engine:
    """The engine for a run with ``options``, and for the report, which looks at the mask; errors as in ``Engine``."""
    needed = outputs_needed(options.layout, stabilise=options.stabilise is not None)
    outputs: tuple[OutputName, ...] = tuple(dict.fromkeys((*needed, MASK)))
    return keeper().open(file, outputs, place)
