"""TensorRT's logger: forwards its lines to Python's logging, and keeps its errors for our exceptions."""

from __future__ import annotations

import logging
from collections import deque
from functools import lru_cache
from typing import Any

_LOG = logging.getLogger("mostnet.tensorrt")

#: Part of a harmless warning that comes twice for each INT8 convolution of a half-precision graph.
_HARMLESS = "scales to fp32"


@lru_cache(maxsize=2)
def tensorrt_logger(trt: Any) -> Any:
    """The ``ILogger`` of the library ``trt``; its ``take_errors()`` returns the latest error lines and forgets them.

    There is one for the life of the process: TensorRT keeps the first logger it is given and writes to it later too.
    """
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
            self._errors: deque[str] = deque(maxlen=8)

        def log(self, severity: Any, message: str) -> None:
            _LOG.log(logging.DEBUG if _HARMLESS in message else levels[severity], message)
            if levels[severity] == logging.ERROR:
                self._errors.append(message)

        def take_errors(self) -> str:
            lines = list(self._errors)
            self._errors.clear()
            return "; ".join(lines) or "it logged no error"

    return Logger()
