"""An opened TensorRT plan, of either flavour."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from mostnet.contract import PlanInfo
from mostnet.engine.cuda.device import CudaDevice
from mostnet.engine.fork import own
from mostnet.engine.interfaces import DeviceLostError, Lane
from mostnet.engine.tensor_check import check_tensors

from .lane import TensorRtLane
from .library import TensorRtEngine

_LOG = logging.getLogger(__name__)


class PlanModel:
    """A deserialised plan and its description."""

    provider = "cuda"
    _closed = True  # until it has an engine

    def __init__(self, device: CudaDevice, engine: TensorRtEngine, info: PlanInfo, path: Path, *, graphs: bool) -> None:
        """Take over ``engine``: ``close`` releases it, or this constructor if the check fails.

        Raises:
            ModelFileError: inputs or outputs differ from the description.
        """
        self.metadata = info
        self.path = path
        self.device: int | None = device.number
        self._device = device
        self._engine = engine
        self._graphs = graphs
        self._closed = False
        own(self)
        try:
            with device:
                check_tensors(path, info, *engine.specs())
        except BaseException:
            self.close()
            raise

    def __del__(self) -> None:
        if not sys.is_finalizing():  # the process frees the rest
            self.close()

    def lane(self, slots: int, outputs: Sequence[str], *, results: str = "owned") -> Lane:
        """A lane of ``slots`` slots, warmed up, with its CUDA graphs captured if the model was opened with graphs.

        Raises:
            DeviceMemoryError: its buffers do not fit.
            DeviceError: TensorRT or the driver rejects a call, such as the capture of a CUDA graph.
        """
        lane = TensorRtLane(self._device, self._engine, self.metadata, slots, outputs, results=results)
        try:
            if self._graphs and self._engine.captures_itself:
                lane.check_capturable()
            elif self._graphs:
                lane.capture()
            if self._engine.cache is not None:
                with self._device:
                    self._engine.cache.save()
        except BaseException:
            lane.close()
            raise
        return lane

    def close(self) -> None:
        """Release the weights; a lane still open keeps them until it is closed. May be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            with self._device:
                self._engine.release()
        except DeviceLostError as error:
            _LOG.warning("close: %s", error)
