"""Captures in global mode by other libraries on the miniature GPU, and the capture modes of its threads.

While one thread captures in global mode, an unsafe call of another thread fails and breaks the capture, if the mode of
that thread is global too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: ``cuGetErrorString`` of the errors of captures.
TEXTS = {
    900: "operation not permitted when stream is capturing",
    901: "operation failed due to a previous error during capture",
    902: "operation would result in a merge of separate capture sequences",
    903: "capture was not ended in the same stream as it began",
    904: "capturing stream has unjoined work",
    905: "dependency created on uncaptured work in another stream",
    906: "operation would make the legacy stream depend on a capturing blocking stream",
    907: "operation not permitted on an event last recorded in a capturing stream",
    908: "attempt to terminate a thread-local capture sequence from another thread",
}

#: Calls that a capture in global mode forbids.
UNSAFE = frozenset(
    {"cuMemAlloc", "cuMemFree", "cuMemHostAlloc", "cuMemFreeHost", "cuGraphUpload"}
    | {"cuEventQuery", "cuStreamQuery", "cuEventSynchronize", "cuStreamSynchronize"}
)

_GLOBAL = 0


class CaptureModes:
    """The mode of each thread, and the threads that capture in global mode."""

    def __init__(self) -> None:
        self._modes = threading.local()
        self._capturing: list[int] = []

    @property
    def mode(self) -> int:
        """``CUstreamCaptureMode`` of the calling thread."""
        return getattr(self._modes, "value", _GLOBAL)

    def exchange(self, mode: int) -> int:
        """Set the mode of the calling thread, and return the mode before."""
        before, self._modes.value = self.mode, mode
        return before

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Another library captures in global mode in the calling thread, as PyTorch does."""
        self._capturing.append(threading.get_ident())
        try:
            yield
        finally:
            self._capturing.remove(threading.get_ident())

    def forbid(self, name: str) -> bool:
        """True if the call ``name`` of this thread fails and breaks the capture of another thread."""
        others = [thread for thread in self._capturing if thread != threading.get_ident()]
        return name in UNSAFE and self.mode == _GLOBAL and bool(others)
