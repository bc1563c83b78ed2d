"""Keeps the engine apart from CUDA graphs that other threads of the process capture.

While a thread captures in global mode, as PyTorch does by default, a query, a wait or an allocation fails in every
thread whose own mode is global, and breaks the capture. In a thread whose mode is thread-local both go on.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from .driver import error_text

#: CU_STREAM_CAPTURE_MODE_THREAD_LOCAL.
_THREAD_LOCAL = 1

#: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED to CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD: the call did nothing.
_ERRORS = range(900, 909)


class _Thread(threading.local):
    """Mode before each ``enter`` of a thread that has not left yet; None for all but the outermost."""

    def __init__(self) -> None:
        self.modes: list[ctypes.c_int | None] = []


class CaptureMode:
    """The capture mode of the calling thread: thread-local from ``enter`` to ``leave``. Calls nest.

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
        """Set the mode."""
        modes, before = self._thread.modes, None
        if not modes:
            before = ctypes.c_int(_THREAD_LOCAL)
            self._exchange(ctypes.byref(before))
        # After the exchange: a destructor or signal handler that comes in between sets and restores the mode itself.
        modes.append(before)

    def leave(self) -> None:
        """Restore the mode."""
        before = self._thread.modes.pop()
        if before is not None:
            self._exchange(ctypes.byref(before))


class CaptureErrors:
    """The errors of calls that came during a capture: such a call did nothing and may be made again."""

    def __init__(self, library: Any) -> None:
        """Read their texts, since pycuda gives no number; ``library`` is that of ``load_driver``."""
        self._texts = tuple(error_text(library, status) for status in _ERRORS)

    def include(self, error: BaseException) -> bool:
        """True if ``error``, raised by pycuda, is one of them."""
        return str(error).endswith(self._texts)
