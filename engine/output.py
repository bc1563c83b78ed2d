"""The result of one frame, and a session's statistics."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame

from .slot import Timing

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """Result of one frame. The arrays belong to the caller: the engine does not write to them while anything refers to
    them or to views of them.

    An engine opened with ``results="borrowed"`` gives read-only views instead, and one opened with
    ``results="device"`` gives ``DeviceArray`` of the same shapes and dtypes. ``Engine`` says how long those are valid.

    Attributes:
        enhanced: uint8 ``(H, W, 3)`` BGR, or None if the engine was opened without it.
        flow: float32 ``(2, H, W)``, backward flow in pixels, or None.
        mask: uint8 ``(H, W)``, tooth probability times 255, or None.
        finite: false if this frame's state or picture came out NaN or infinite and the graph healed it.
        frame_id: number of the frame in its session, from 0; a refused frame gets none, and a reset keeps counting.
        timestamp: the object that the caller handed in with the frame, or None.
        latency_ms: time from the call of ``infer``, or from the moment the source of ``stream`` gave the frame, until
            the result was ready.
    """

    enhanced: Frame | None
    flow: npt.NDArray[np.float32] | None
    mask: npt.NDArray[np.uint8] | None
    finite: bool
    frame_id: int
    timestamp: object
    latency_ms: float


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Statistics of one session since it was opened; times are means over ``frames``.

    There is no count of dropped frames: a source waits for a free slot, and no frame is skipped to catch up. Results
    are dropped only if a call is late (``timeout_ms``) or the loop over a stream ends early. Their frames stay part of
    the state and keep their numbers.

    Attributes:
        frames: results produced.
        heals: results whose ``finite`` was false.
        resets: calls of ``reset``.
        copy_in_ms: copying the frame into its slot and to the device.
        compute_ms: the network.
        copy_out_ms: copying the wanted outputs out of the slot.
        host_ms: the rest of the latency: checks, queueing behind earlier frames, waiting for a free slot. On a GPU it
            may come out below zero by 0.05 ms, the tolerance of the clock.
    """

    frames: int = 0
    heals: int = 0
    resets: int = 0
    copy_in_ms: float = 0.0
    compute_ms: float = 0.0
    copy_out_ms: float = 0.0
    host_ms: float = 0.0


class Counters:
    """The sums behind ``EngineStats``. One thread at a time adds frames; any thread may call the rest."""

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
        """Count one result; log a warning for the first healed one."""
        self._frames += 1
        self._copy_in_ms += timing.copy_in_ms
        self._compute_ms += timing.compute_ms
        self._copy_out_ms += timing.copy_out_ms
        self._latency_ms += timing.latency_ms
        if not finite:
            self._heals += 1
            if self._heals == 1:
                _LOG.warning(
                    "frame %d came out NaN or infinite and was healed; stats.heals counts further ones", frame_id
                )

    def add_reset(self) -> None:
        """Count one reset."""
        with self._lock:
            self._resets += 1

    def snapshot(self) -> EngineStats:
        """The statistics so far."""
        frames = max(1, self._frames)
        split_ms = (self._copy_in_ms / frames, self._compute_ms / frames, self._copy_out_ms / frames)
        host_ms = self._latency_ms / frames - sum(split_ms)
        return EngineStats(self._frames, self._heals, self._resets, *split_ms, host_ms)
