"""The result of one frame, and a session's statistics."""

from __future__ import annotations

import logging
import threading
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from mostnet.contract import ENHANCED, FLOW, MASK, OUTPUTS, Frame, OutputMissingError

from .slot import Timing

_LOG = logging.getLogger(__name__)

A = TypeVar("A")


@dataclass(frozen=True, slots=True, eq=False, init=False, repr=False)
class Output:
    """Result of one frame. The arrays belong to the caller: the engine does not write to them while anything refers to
    them or to views of them.

    An engine opened with ``results="borrowed"`` gives read-only views instead, and one opened with
    ``results="device"`` gives ``DeviceArray`` of the same shapes and dtypes, where a type checker sees NumPy arrays.
    ``Engine`` says how long those are valid.

    ``names`` lists the outputs that the engine was opened with; any other raises, and ``hasattr`` finds it missing.

    Attributes:
        finite: false if this frame's state or picture came out NaN or infinite and the graph healed it.
        frame_id: number of the frame in its session, from 0; a refused frame gets none, and a reset keeps counting.
        timestamp: the object that the caller handed in with the frame, or None.
        latency_ms: time from the call of ``infer``, or from the moment the source of ``stream`` gave the frame, until
            the result was ready.
    """

    _enhanced: Frame | None
    _flow: npt.NDArray[np.float32] | None
    _mask: npt.NDArray[np.uint8] | None
    finite: bool
    frame_id: int
    timestamp: object
    latency_ms: float

    def __init__(
        self,
        enhanced: Frame | None,
        flow: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.uint8] | None,
        finite: bool,
        frame_id: int,
        timestamp: object,
        latency_ms: float,
    ) -> None:
        """A result with the pictures that are not None."""
        values = (enhanced, flow, mask, finite, frame_id, timestamp, latency_ms)
        for name, value in zip(_FIELDS, values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def enhanced(self) -> Frame:
        """The enhanced picture, uint8 ``(H, W, 3)`` BGR.

        Raises:
            OutputMissingError: the engine was opened without it.
        """
        return self._held(ENHANCED, self._enhanced)

    @property
    def flow(self) -> npt.NDArray[np.float32]:
        """Backward flow in pixels, float32 ``(2, H, W)``.

        Raises:
            OutputMissingError: the engine was opened without it.
        """
        return self._held(FLOW, self._flow)

    @property
    def mask(self) -> npt.NDArray[np.uint8]:
        """Tooth probability times 255, uint8 ``(H, W)``.

        Raises:
            OutputMissingError: the engine was opened without it.
        """
        return self._held(MASK, self._mask)

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs that this result has, some of ``enhanced``, ``flow`` and ``mask``."""
        return tuple(name for name in OUTPUTS if getattr(self, f"_{name}") is not None)

    def replace(self, **changes: Any) -> Output:
        """A copy with other values, by the names of the attributes; None takes an output away."""
        values = {name.lstrip("_"): getattr(self, name) for name in _FIELDS}
        return Output(**{**values, **changes})

    def __repr__(self) -> str:
        healed = "" if self.finite else ", healed"
        return f"Output(frame {self.frame_id}: {', '.join(self.names)}{healed}, {self.latency_ms:.1f} ms)"

    def _held(self, name: str, picture: A | None) -> A:
        if picture is None:
            raise OutputMissingError(
                f"this result has no {name}, only {', '.join(self.names) or 'statistics'}; open the Engine with "
                f"outputs={(*self.names, name)!r}"
            )
        return picture


#: Attributes in which an ``Output`` keeps what it was made of.
_FIELDS = tuple(field.name for field in fields(Output))


def _refuse_change(self: Output, name: str, *value: object) -> NoReturn:
    raise FrozenInstanceError(f"{name} of an Output cannot be changed; out.replace({name}=...) makes a changed copy")


# Those of ``dataclass`` fail with a TypeError of their own in Python 3.11 if the class has slots.
for _hook in ("__setattr__", "__delattr__"):
    setattr(Output, _hook, _refuse_change)


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Statistics of one session since it was opened; times are means over ``frames``.

    A source waits for a free slot, and no frame is skipped to catch up, unless ``stream`` is told to drop frames. A
    dropped frame never reaches the network: it has no number and is no part of the state. A result that is lost because
    a call is late (``timeout_ms``), or because the loop over a stream ends early, is not counted: its frame stays part
    of the state and keeps its number.

    Attributes:
        frames: results produced.
        heals: results whose ``finite`` was false.
        resets: calls of ``reset``.
        copy_in_ms: copying the frame into its slot and to the device.
        compute_ms: the network.
        copy_out_ms: copying the wanted outputs out of the slot.
        host_ms: the rest of the latency: checks, queueing behind earlier frames, waiting for a free slot. On a GPU it
            may come out below zero by 0.05 ms, the tolerance of the clock.
        dropped: frames that ``stream(source, drop="oldest")`` left out because a newer one had come.
    """

    frames: int = 0
    heals: int = 0
    resets: int = 0
    copy_in_ms: float = 0.0
    compute_ms: float = 0.0
    copy_out_ms: float = 0.0
    host_ms: float = 0.0
    dropped: int = 0


class Counters:
    """The sums behind ``EngineStats``. One thread at a time adds frames; any thread may call the rest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames = 0
        self._heals = 0
        self._resets = 0
        self._dropped = 0
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

    def add_drop(self) -> None:
        """Count one dropped frame. One thread at a time calls this; a lock could stay held by an interrupted call."""
        self._dropped += 1

    def snapshot(self) -> EngineStats:
        """The statistics so far."""
        frames = max(1, self._frames)
        split_ms = (self._copy_in_ms / frames, self._compute_ms / frames, self._copy_out_ms / frames)
        host_ms = self._latency_ms / frames - sum(split_ms)
        return EngineStats(self._frames, self._heals, self._resets, *split_ms, host_ms, self._dropped)
