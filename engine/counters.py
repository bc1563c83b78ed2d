"""The figures of one session, added up frame by frame."""

from __future__ import annotations

import logging
import threading

from .output import EngineStats
from .slot import Timing

_LOG = logging.getLogger(__name__)


class Counters:
    """Sums behind ``EngineStats``. Frames are added by one thread at a time; the rest is for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames = 0
        self._heals = 0
        self._resets = 0
        self._copy_in_ms = 0.0
        self._compute_ms = 0.0
        self._copy_out_ms = 0.0
        self._latency_ms = 0.0

    def add_frame(self, timing: Timing, *, finite: bool, frame_id: int) -> None:
        """Count one result; the first that was healed is logged as a warning."""
        self._frames += 1
        self._copy_in_ms += timing.copy_in_ms
        self._compute_ms += timing.compute_ms
        self._copy_out_ms += timing.copy_out_ms
        self._latency_ms += timing.latency_ms
        if not finite:
            self._heals += 1
            if self._heals == 1:
                _LOG.warning(
                    "frame %d came out NaN or infinite and was healed; later ones are counted in stats.heals", frame_id
                )

    def add_reset(self) -> None:
        """Count one reset."""
        with self._lock:
            self._resets += 1

    def snapshot(self) -> EngineStats:
        """The figures so far."""
        frames = max(1, self._frames)
        split_ms = (self._copy_in_ms / frames, self._compute_ms / frames, self._copy_out_ms / frames)
        host_ms = self._latency_ms / frames - sum(split_ms)
        return EngineStats(self._frames, self._heals, self._resets, *split_ms, host_ms)
