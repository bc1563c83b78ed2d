"""Keeps the engine apart from CUDA graphs that the application captures.

While a thread captures, its queries, waits and allocations fail and break the capture. A capture in global mode,
PyTorch's default, does the same to every other thread whose mode is global. Neither happens to a thread in relaxed
mode, and the engine's streams are no part of the capture. So the engine's calls run in relaxed mode.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: CU_STREAM_CAPTURE_MODE_THREAD_LOCAL and _RELAXED.
_THREAD_LOCAL, _RELAXED = 1, 2


class _Thread(threading.local):
    """Mode before each ``enter`` of a thread that has not left yet; None for all but the outermost."""

    def __init__(self) -> None:
        self.modes: list[ctypes.c_int | None] = []


class CaptureMode:
    """The capture mode of the calling thread: relaxed from ``enter`` to ``leave``. Calls nest.

    The driver refuses an exchange only if it refuses all calls, so the next call reports what is wrong.

    Attributes:
        CALL: the driver's function, which runs twice in every call of the engine.
    """

    CALL = "cuThreadExchangeStreamCaptureMode"

    def __init__(self, library: Any) -> None:
        """``library`` is that of ``load_driver``."""
        self._exchange = getattr(library, self.CALL)
        self._thread = _Thread()

    def enter(self) -> None:
        """Set the mode; an interrupt leaves it as it was."""
        modes = self._thread.modes
        depth, before = len(modes), None if modes else ctypes.c_int(_RELAXED)
        try:
            if before is not None:
                self._exchange(ctypes.byref(before))
            # After the exchange: a destructor or signal handler that comes in between sets and restores its own mode.
            modes.append(before)
        except BaseException:
            del modes[depth:]
            self._restore(before, _RELAXED)
            raise

    def leave(self) -> None:
        """Restore the mode."""
        self._restore(self._thread.modes.pop(), _RELAXED)

    @contextmanager
    def strict(self) -> Iterator[None]:
        """Thread-local mode for a capture of our own: a call that cannot be captured fails, not just stays out of it.

        A destructor that runs meanwhile enters relaxed mode as usual.
        """
        outer, before = self._thread.modes, ctypes.c_int(_THREAD_LOCAL)
        try:
            self._thread.modes = []
            self._exchange(ctypes.byref(before))
            yield
        finally:
            self._restore(before, _THREAD_LOCAL)
            self._thread.modes = outer

    def _restore(self, before: ctypes.c_int | None, mode: int) -> None:
        """Exchange ``mode`` for ``before``, if they differ: they are equal too if an exchange did not happen."""
        if before is not None and before.value != mode:
            self._exchange(ctypes.byref(before))
