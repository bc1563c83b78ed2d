"""The bytes of a pipe, waited for so that Ctrl-C and SIGTERM can end the wait."""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from mostnet.contract import VideoError

_LOG = logging.getLogger(__name__)

#: How often a wait for data asks whether to stop, and after how long it says that it waits.
_POLL_MS, _PATIENCE_S = 100, 5.0


class PipeFile:
    """A file object for PyAV that only reads.

    Attributes:
        name: for messages.
        stopped: ``stop`` or Ctrl-C ended the data before the pipe did.
    """

    def __init__(self, path: Path | None, name: str, stop: Callable[[], bool] | None) -> None:
        """Open a FIFO without waiting for its writer; ``path`` None is standard input.

        Raises:
            VideoError: it cannot be opened.
        """
        self.name = name
        self.stopped = False
        self._stop = stop
        self._interrupted = False
        self._head = b""
        self._silent_since: float | None = None
        try:
            self._file = os.dup(0) if path is None else os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            raise VideoError(f"{name}: cannot be read ({error.strerror}); give a file, or pipe a video in") from error
        self._poll = select.poll() if hasattr(select, "poll") else None  # Windows has none: a read blocks
        if self._poll is not None:
            self._poll.register(self._file, select.POLLIN)

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end, or if the wait for them was stopped."""
        try:
            if self._head:
                data, self._head = self._head[:size], self._head[size:]
                return data
            return os.read(self._file, size) if self._wait() else b""
        except KeyboardInterrupt:  # PyAV lets no interrupt through; ``check`` raises it
            self.stopped = self._interrupted = True
            return b""

    def read_at(self, place: int, size: int) -> bytes:
        """Bytes at the beginning of the data, which stay to be read."""
        while len(self._head) < place + size and self._wait() and (data := os.read(self._file, 1 << 16)):
            self._head += data
        return self._head[place : place + size]

    def check(self) -> None:
        """Raise the KeyboardInterrupt that ended a ``read``."""
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    def close(self) -> None:
        """Close the pipe; closing twice does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _wait(self) -> bool:
        """Wait for data or the end; false if the wait was stopped."""
        begun_s = monotonic()
        while not self.stopped and self._poll is not None and not self._poll.poll(_POLL_MS):
            self.stopped = self._stop is not None and self._stop()
            if self._silent_since is None and monotonic() - begun_s > _PATIENCE_S:
                self._silent_since = begun_s
                _LOG.warning(
                    "%s: no data for %g seconds; waiting for more, Ctrl-C ends the run", self.name, _PATIENCE_S
                )
        return not self.stopped
