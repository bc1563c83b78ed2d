"""The backend's bare call, without the engine's ring: the baseline of the overhead."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from mostnet.contract import Frame
from mostnet.engine.interfaces import Model, Result


class RawCall:
    """The backend's bare call on buffers that are bound once. Each slot reads the state that the slot before wrote.

    One call is one ``run_with_iobinding`` of ONNX Runtime, or one launch of a slot's CUDA graph on TensorRT. A backend
    with a device needs ``with raw.active():`` around every use.
    """

    def __init__(self, model: Model, outputs: Sequence[str], *, slots: int = 2) -> None:
        self._lane = model.lane(slots, outputs)
        self._stream = self._lane.open_streams(pipelined=False).compute
        self._slot = 0

    def active(self) -> AbstractContextManager[None]:
        """Make the backend's device current in this thread."""
        return self._lane.active()

    def load(self, frame: Frame) -> None:
        """Copy ``frame`` to the next call's input."""
        np.copyto(self._lane.host_input(self._slot), frame)
        self._lane.upload(self._slot, self._stream)
        self._stream.drain(None)

    def __call__(self) -> None:
        """Run the network on the loaded frame and carry the state."""
        self.enqueue()
        self._stream.drain(None)

    def enqueue(self) -> None:
        """Like a call, but without waiting for an asynchronous backend."""
        self._lane.execute(self._slot, self._stream)
        self._slot = (self._slot + 1) % self._lane.slots

    def result(self) -> Result:
        """Outputs of the latest call."""
        slot = self._slot - 1 if self._slot else self._lane.slots - 1
        self._lane.download(slot, self._stream)
        self._stream.drain(None)
        return self._lane.result(slot)

    def loaded_call(self, frame: Frame) -> Result:
        """Copy in, run and copy out with one wait: the least that hardware and driver need for one frame."""
        slot = self._slot
        np.copyto(self._lane.host_input(slot), frame)
        self._lane.upload(slot, self._stream)
        self.enqueue()
        self._lane.download(slot, self._stream)
        self._stream.drain(None)
        return self._lane.result(slot)

    def time_on_device_ms(self, count: int) -> float:
        """Mean time per frame of ``count`` frames back to back without copies, by the device's own events."""
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
