"""Captures of CUDA graphs on the miniature GPU, and the capture modes of its threads.

A potentially unsafe call fails, and breaks the capture, if its thread captures in any mode but relaxed, or if any
thread captures in global mode and the mode of the caller is global too. A caller in relaxed mode may do all.
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

#: ``CUstreamCaptureMode``.
GLOBAL, THREAD_LOCAL, RELAXED = range(3)


class Capture:
    """A capture in progress, begun by the thread that made it.

    Attributes:
        mode: the ``CUstreamCaptureMode`` that it was begun in.
        thread: identity of that thread.
        broken: a call that it forbids has been made.
    """

    def __init__(self, mode: int) -> None:
        self.mode = mode
        self.thread = threading.get_ident()
        self.broken = False

    def forbids(self, mode: int) -> bool:
        """True if the calling thread, whose mode is ``mode``, may make no unsafe call."""
        if self.thread == threading.get_ident():
            return self.mode != RELAXED and mode != RELAXED
        return self.mode == mode == GLOBAL


class CaptureModes:
    """The mode of each thread, and the captures in progress."""

    def __init__(self) -> None:
        self._modes = threading.local()
        self._captures: list[Capture] = []

    @property
    def mode(self) -> int:
        """``CUstreamCaptureMode`` of the calling thread."""
        return getattr(self._modes, "value", GLOBAL)

    def exchange(self, mode: int) -> int:
        """Set the mode of the calling thread, and return the mode before."""
        before, self._modes.value = self.mode, mode
        return before

    def begin(self, mode: int) -> Capture:
        """Begin a capture in the calling thread."""
        capture = Capture(mode)
        self._captures.append(capture)
        return capture

    def end(self, capture: Capture) -> None:
        """End a capture."""
        self._captures.remove(capture)

    @contextmanager
    def capture(self, mode: int = GLOBAL) -> Iterator[Capture]:
        """Another library captures a stream of its own in the calling thread, as PyTorch does."""
        capture = self.begin(mode)
        try:
            yield capture
        finally:
            self.end(capture)

    def forbid(self, name: str) -> bool:
        """True if the call ``name`` of this thread fails; it then breaks the captures that forbid it."""
        if name not in UNSAFE:
            return False
        broken = [capture for capture in self._captures if capture.forbids(self.mode)]
        for capture in broken:
            capture.broken = True
        return bool(broken)
