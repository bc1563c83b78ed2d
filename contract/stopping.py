"""Stop after the current step on SIGINT or SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


class StopRequest:
    """True once SIGINT or SIGTERM has arrived; a loop tests it between two steps.

    A ``KeyboardInterrupt`` could strike in the middle of a step, for instance between encoding a frame and writing it.
    The second signal goes to the handlers from before the block. Only the main thread may set handlers, so a request in
    another thread notes no signal.

    Attributes:
        signal: the first signal; None before it.
    """

    def __init__(self, *, second: Handler | None = None) -> None:
        """``second`` replaces the handlers from before the block for all signals after the first one."""
        self.signal: signal.Signals | None = None
        self._second = second
        self._before: dict[signal.Signals, Handler | int | None] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        for other, handler in self._before.items():
            signal.signal(other, self._second or handler)


def leave_stopping_to_the_parent(worker: int) -> None:
    """Keep a data loader's worker process alive until its parent ends it, because the parent still waits for a batch.

    Ctrl-C reaches every process of a terminal, and ``timeout`` sends SIGTERM to the whole process group.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
