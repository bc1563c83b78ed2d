"""The backend's bare call, without the ring around it: what an engine's own cost is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from mostnet.contract import Frame
from mostnet.engine.interfaces import Model, Result


class RawCall:
    """The backend's bare call on buffers that are bound once: each slot reads the state that the one before wrote.

    On ONNX Runtime one call is one ``run_with_iobinding``, on TensorRT one launch of a slot's CUDA graph. Used inside
    ``with raw.active():`` only, where the backend has a device.
    """

    def __init__(self, model: Model, outputs: Sequence[str], *, slots: int = 2) -> None:
        self._lane = model.lane(slots, outputs)
        self._stream = self._lane.open_streams(pipelined=False).compute
        self._slot = 0

    def active(self) -> AbstractContextManager[None]:
        """Make the backend's device that of this thread."""
        return self._lane.active()

    def load(self, frame: Frame) -> None:
        """Put ``frame`` where the next call reads it."""
        np.copyto(self._lane.host_input(self._slot), frame)
        self._lane.upload(self._slot, self._stream)
        self._stream.drain(None)

    def __call__(self) -> None:
        """Run the network on the loaded frame, carrying the state."""
        self.enqueue()
        self._stream.drain(None)

    def enqueue(self) -> None:
        """As a call, but without waiting for its end where the backend is asynchronous."""
        self._lane.execute(self._slot, self._stream)
        self._slot = (self._slot + 1) % self._lane.slots

    def result(self) -> Result:
        """Outputs of the latest call."""
        slot = self._slot - 1 if self._slot else self._lane.slots - 1
        self._lane.download(slot, self._stream)
        self._stream.drain(None)
        return self._lane.result(slot)

    def loaded_call(self, frame: Frame) -> Result:
        """Copy in, run and copy out with one wait: what the hardware and the driver take for one frame."""
        slot = self._slot
        np.copyto(self._lane.host_input(slot), frame)
        self._lane.upload(slot, self._stream)
        self.enqueue()
        self._lane.download(slot, self._stream)
        self._stream.drain(None)
        return self._lane.result(slot)

    def time_on_device_ms(self, count: int) -> float:
        """Run ``count`` frames back to back, without copies; the mean time of one by the device's own events."""
        begun: Any = self._lane.event()
        ended: Any = self._lane.event()
        self._stream.record(begun)
        for _ in range(count):
            self.enqueue()
        self._stream.record(ended)
        self._stream.drain(None)
        return float(ended.since_ms(begun)) / count

    def close(self) -> None:
        """Free the buffers."""
        self._stream.close()
        self._lane.close()
