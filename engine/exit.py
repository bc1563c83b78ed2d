"""Ends the work of sessions before the process exits.

The interpreter ends the threads that are left at its end. In a thread that runs ONNX Runtime this aborts the process.
"""

from __future__ import annotations

import atexit
from time import perf_counter
from typing import Protocol
from weakref import WeakSet

#: How long the exit waits, in all, for frames in flight and for sources that may run a network themselves.
EXIT_WAIT_S = 3.0


class Endable(Protocol):
    """What ``end_at_exit`` takes."""

    def refuse(self) -> None:
        """Begin nothing more, and return at once."""

    def wait_over(self, timeout_s: float) -> None:
        """Wait for what has begun, ``timeout_s`` at most."""


_ENDABLE: WeakSet[Endable] = WeakSet()


def end_at_exit(thing: Endable) -> None:
    """End the work of ``thing`` when the process exits, unless it is gone by then."""
    _ENDABLE.add(thing)


def _end_all() -> None:
    things = list(_ENDABLE)
    for thing in things:  # all of them before any wait, so that they end side by side
        thing.refuse()
    deadline_s = perf_counter() + EXIT_WAIT_S
    for thing in things:
        thing.wait_over(max(0.0, deadline_s - perf_counter()))


atexit.register(_end_all)
