"""Closes a camera whose last frame is late: its place and memory come free once the server has answered."""

from __future__ import annotations

import logging
from threading import Thread
from time import sleep

from mostnet.engine import usage
from mostnet.engine.ring import Ring
from mostnet.engine.threads import start_thread

_LOG = logging.getLogger(__name__)

#: Between two of these waits, the exit of the process may have the ring.
_WAIT_MS = 50.0


class CameraUsage(usage.Usage):
    """Access to a camera. ``close`` leaves a late frame to a thread, which ends the camera after it."""

    _late: Thread | None = None

    def _leave_late(self, ring: Ring) -> None:
        if self._late is not None:  # an earlier ``close`` was interrupted
            return
        _LOG.warning(
            "close: a frame is not finished after %g ms; the camera's place and memory are freed when it is",
            usage.CLOSE_WAIT_MS,
        )
        # Daemon: a process that exits must not wait for a server that does not answer.
        self._late = Thread(target=_close_late, args=(ring,), name="mostnet-late-close", daemon=True)
        start_thread(self._late)


def _close_late(ring: Ring) -> None:
    while not ring.settle(_WAIT_MS):
        sleep(_WAIT_MS / 1e3)
    ring.close()
