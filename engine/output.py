"""What a caller gets: one ``Output`` per frame, and a snapshot of the session's figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """Result of one frame. The arrays belong to the caller: the engine never writes to them again.

    Not so if it was opened with ``results="borrowed"`` (read-only views) or ``results="device"`` (``DeviceArray`` of
    these shapes and dtypes): ``Engine`` says how long those are good.

    Attributes:
        enhanced: uint8 ``(H, W, 3)`` BGR, or None where the engine was opened without it.
        flow: float32 ``(2, H, W)``, backward flow in pixels, or None.
        mask: uint8 ``(H, W)``, tooth probability times 255, or None.
        finite: false where this frame's state or picture came out NaN or infinite and was healed by the graph.
        frame_id: number of the frame in its session, from 0; a refused frame has none, a reset does not restart it.
        timestamp: what the caller handed in with the frame, else None.
        latency_ms: from the frame being handed in (by ``infer``, or by the source of ``stream``) to its result being
            ready.
    """

    enhanced: npt.NDArray[np.uint8] | None
    flow: npt.NDArray[np.float32] | None
    mask: npt.NDArray[np.uint8] | None
    finite: bool
    frame_id: int
    timestamp: object
    latency_ms: float


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Figures of one session since it was opened; times are means over ``frames``.

    No figure counts dropped frames, for none is left out to catch up: a source waits for a free slot instead. Results
    are dropped only where a call is late (``timeout_ms``) or the loop over a stream is left; their frames stay part of
    the state and of the frame numbers.

    Attributes:
        frames: results made ready for the caller.
        heals: results whose ``finite`` was false.
        resets: calls of ``reset``.
        copy_in_ms: copying the frame into its slot and to the device.
        compute_ms: the network.
        copy_out_ms: copying the wanted outputs out of the slot.
        host_ms: the rest of the latency: checks, queueing behind earlier frames, waiting for a free slot.
    """

    frames: int = 0
    heals: int = 0
    resets: int = 0
    copy_in_ms: float = 0.0
    compute_ms: float = 0.0
    copy_out_ms: float = 0.0
    host_ms: float = 0.0
