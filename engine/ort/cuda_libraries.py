"""Loads the CUDA libraries that pip installed, so that ONNX Runtime finds them without ``LD_LIBRARY_PATH``."""

from __future__ import annotations

import sys
import threading
from contextlib import redirect_stdout
from typing import Any, TextIO, cast

#: Two threads that replace ``sys.stdout`` at the same time would not put it back.
_LOCK = threading.Lock()


def load_cuda_libraries(onnxruntime: Any) -> tuple[str, ...]:
    """Have ONNX Runtime load CUDA and cuDNN from pip's packages, or else from the system's usual places.

    Loading them again does nothing. ONNX Runtime 1.20 cannot do it, and is left to find them itself.

    Args:
        onnxruntime: the imported package, built for CUDA.

    Returns:
        What it says of libraries that do not load, instead of printing it. It leaves a missing cuDNN out.
    """
    if not hasattr(onnxruntime, "preload_dlls"):
        return ()
    with _LOCK:
        heard = _Heard(sys.stdout)
        with redirect_stdout(cast(TextIO, heard)):
            onnxruntime.preload_dlls()
    return tuple(line for line in "".join(heard.words).splitlines() if line.strip())


class _Heard:
    """Stands in for a stream: keeps what this thread writes, and passes on what other threads write."""

    def __init__(self, stream: TextIO) -> None:
        self.words: list[str] = []
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() != self._thread:
            return self._stream.write(text)
        self.words.append(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
