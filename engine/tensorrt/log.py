"""TensorRT's logger: forwards its lines to Python's logging, and keeps its errors for our exceptions."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

_LOG = logging.getLogger("mostnet.tensorrt")

#: Part of a harmless warning that comes twice for each INT8 convolution of a half-precision graph.
_HARMLESS = "scales to fp32"

#: Most error lines that wait for an exception, of all threads, and that one exception quotes.
_MOST_KEPT, _MOST_QUOTED = 64, 8


class _LoggerOfEachLibrary:
    """Makes one logger for each library and process, even if two threads ask at the same time."""

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, trt: Any) -> Any:
        """The ``ILogger`` of the library ``trt``.

        Every builder, parser and runtime of the process gets this one: TensorRT keeps the first logger it is given,
        writes to it later too, and ignores any other. Its ``take_errors()`` returns the latest error lines and forgets
        them.
        """
        with self._lock:
            if trt not in self._made:
                self._made[trt] = _make_logger(trt)
            return self._made[trt]

    def cache_clear(self) -> None:
        """Forget all loggers: for tests, whose libraries are fakes."""
        self._made.clear()


tensorrt_logger = _LoggerOfEachLibrary()


def _make_logger(trt: Any) -> Any:
    levels = {
        trt.ILogger.INTERNAL_ERROR: logging.ERROR,
        trt.ILogger.ERROR: logging.ERROR,
        trt.ILogger.WARNING: logging.WARNING,
        trt.ILogger.INFO: logging.DEBUG,
        trt.ILogger.VERBOSE: logging.DEBUG,
    }

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: deque[tuple[int, str]] = deque(maxlen=_MOST_KEPT)  # with the thread that logged each
            self._lock = threading.RLock()  # a destructor that runs while it is held may log

        def log(self, severity: Any, message: str) -> None:
            _LOG.log(logging.DEBUG if _HARMLESS in message else levels[severity], message)
            if levels[severity] == logging.ERROR:
                with self._lock:
                    self._errors.append((threading.get_ident(), message))

        def take_errors(self) -> str:
            """Lines of this thread and of TensorRT's own threads; those of other threads of Python stay for them."""
            others = _other_threads()
            with self._lock:
                logged = list(self._errors)
                lines = [line for thread, line in logged if thread not in others]
                kept = [(thread, line) for thread, line in logged if thread in others]
                self._errors.clear()
                self._errors.extend(kept)
            return "; ".join(lines[-_MOST_QUOTED:]) or "it logged no error"

    return Logger()


def _other_threads() -> set[int | None]:
    """The living threads that Python started, without this one. A thread of TensorRT is a dummy to Python."""
    threads = (thread for thread in threading.enumerate() if not isinstance(thread, threading._DummyThread))
    return {thread.ident for thread in threads} - {threading.get_ident()}
