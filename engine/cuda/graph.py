"""CUDA graphs through ``cuda.bindings``, which pycuda lacks: one launch in place of a network's hundreds of kernels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .device import CudaDevice

_LOG = logging.getLogger(__name__)


class CudaGraph:
    """Work that is recorded once and then launched as one, on the stream that it was recorded on.

    The capture is thread-local: other threads of the process may go on allocating and waiting. A call of ``enqueue``
    that allocates or waits fails.
    """

    def __init__(self, device: CudaDevice, bindings: Any, stream_handle: int) -> None:
        self._device = device
        self._bindings = bindings
        self._stream = bindings.CUstream(stream_handle)
        self._executable: Any = None

    def capture(self, enqueue: Callable[[], bool]) -> bool:
        """Record the work that ``enqueue`` puts on the stream; false, with nothing recorded, if ``enqueue`` fails.

        ``enqueue`` must have run on this stream before, uncaptured: TensorRT initialises on its first call.

        The graph is uploaded, so that its first launch neither takes memory nor costs more than the others.

        Raises:
            DeviceError: ``enqueue`` does something that cannot be captured.
            DeviceMemoryError: the graph does not fit.
        """
        driver = self._bindings
        with self._device.capture_mode.strict():
            graph = self._record(enqueue)
        if graph is None:
            return False
        try:
            (self._executable,) = self._check("cuGraphInstantiate", driver.cuGraphInstantiate(graph, 0))
        finally:
            self._check("cuGraphDestroy", driver.cuGraphDestroy(graph))
        self._check("cuGraphUpload", driver.cuGraphUpload(self._executable, self._stream))
        return True

    def launch(self) -> None:
        """Put the recorded work on the stream."""
        self._check("cuGraphLaunch", self._bindings.cuGraphLaunch(self._executable, self._stream))

    def close(self) -> None:
        """Destroy the graph. May be called twice."""
        executable, self._executable = self._executable, None
        if executable is not None:
            self._check("cuGraphExecDestroy", self._bindings.cuGraphExecDestroy(executable))

    def _record(self, enqueue: Callable[[], bool]) -> Any:
        """The graph of what ``enqueue`` puts on the stream; None if it fails."""
        driver = self._bindings
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._check("cuStreamBeginCapture", driver.cuStreamBeginCapture(self._stream, mode))
        try:
            done = enqueue()
        except BaseException:
            self._abandon_capture()
            raise
        if not done:
            self._abandon_capture()
            return None
        (graph,) = self._check("cuStreamEndCapture", driver.cuStreamEndCapture(self._stream))
        return graph

    def _abandon_capture(self) -> None:
        status, graph = self._bindings.cuStreamEndCapture(self._stream)
        if status == self._bindings.CUresult.CUDA_SUCCESS:
            self._bindings.cuGraphDestroy(graph)

    def _check(self, call: str, returned: tuple[Any, ...]) -> tuple[Any, ...]:
        status, *values = returned
        self._device.check(call, int(status))
        return tuple(values)


def load_bindings() -> Any | None:
    """``cuda.bindings.driver``, or None if it is not installed: each frame is enqueued kernel by kernel then."""
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        _LOG.info("no CUDA graphs: cuda-bindings is not installed (pip install 'mostnet[cuda]')")
        return None
    return import_module("cuda.bindings.driver")
