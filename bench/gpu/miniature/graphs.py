"""``cuda.bindings.driver`` on the miniature GPU: what CUDA graphs need of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from types import SimpleNamespace

from .captures import GLOBAL, THREAD_LOCAL, Capture
from .gpu import MiniatureError, MiniatureGpu, MiniatureMemoryError

#: Memory that the miniature GPU takes for a graph, in bytes.
GRAPH_BYTES = 10_000_000


class CaptureResult(IntEnum):
    """``CUresult``, as far as graphs return it."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901


_SUCCESS, _BROKEN = CaptureResult.CUDA_SUCCESS, CaptureResult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED


def graph_bindings(gpu: MiniatureGpu) -> SimpleNamespace:
    """A module like ``cuda.bindings.driver``."""
    graphs = _GraphCalls(gpu)
    return SimpleNamespace(
        CUresult=CaptureResult,
        CUstreamCaptureMode=SimpleNamespace(
            CU_STREAM_CAPTURE_MODE_GLOBAL=GLOBAL, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=THREAD_LOCAL
        ),
        CUstream=int,
        cuStreamBeginCapture=graphs.begin,
        cuStreamEndCapture=graphs.end,
        cuGraphInstantiate=graphs.instantiate,
        cuGraphUpload=graphs.upload,
        cuGraphLaunch=graphs.launch,
        cuGraphDestroy=lambda graph: graphs.destroy("graph", "cuGraphDestroy", graph),
        cuGraphExecDestroy=lambda executable: graphs.destroy("executable", "cuGraphExecDestroy", executable),
    )


class _GraphCalls:
    """Graphs and executables by their handles. Each is the list of captured operations."""

    def __init__(self, gpu: MiniatureGpu) -> None:
        self._any = gpu
        self._things: dict[int, list[Callable[[], object]]] = {}
        self._uploaded: set[int] = set()
        self._captures: dict[int, Capture] = {}

    @property
    def _gpu(self) -> MiniatureGpu:
        return self._any.current

    def begin(self, stream: int, mode: int) -> tuple[object, ...]:
        if self._gpu.streams[stream].queue:
            self._gpu.violations.append("a capture begins while the stream is at work")
        self._gpu.streams[stream].capture = []
        self._captures[stream] = self._gpu.captures.begin(mode)
        return self._status("cuStreamBeginCapture")

    def end(self, stream: int) -> tuple[object, ...]:
        captured, self._gpu.streams[stream].capture = self._gpu.streams[stream].capture, None
        assert captured is not None, "a capture ends that has not begun"
        capture = self._captures.pop(stream)
        self._gpu.captures.end(capture)
        result = (_BROKEN, None) if capture.broken else self._status("cuStreamEndCapture", 0)
        return (_SUCCESS, self._keep("graph", captured)) if result[0] is _SUCCESS else result

    def instantiate(self, graph: int, flags: int) -> tuple[object, ...]:
        result = self._status("cuGraphInstantiate", 0)
        return (_SUCCESS, self._keep("executable", list(self._things[graph]))) if result[0] is _SUCCESS else result

    def upload(self, executable: int, stream: int) -> tuple[object, ...]:
        assert stream in self._gpu.streams
        result = self._status("cuGraphUpload")
        if result[0] is _SUCCESS:
            self._take_memory(executable)
        return result

    def launch(self, executable: int, stream: int) -> tuple[object, ...]:
        result = self._status("cuGraphLaunch")
        if result[0] is _SUCCESS:
            self._take_memory(executable)
            self._gpu.log.append(("launch", executable))
            for work in self._things[executable]:
                self._gpu.streams[stream].put(work)
        return result

    def destroy(self, kind: str, call: str, handle: int) -> tuple[object, ...]:
        del self._things[handle]
        if handle in self._uploaded:
            self._uploaded.remove(handle)
            self._gpu.graph_bytes -= GRAPH_BYTES
        self._gpu.destroyed(kind)
        return self._status(call)

    def _status(self, name: str, *values: object) -> tuple[object, ...]:
        try:
            self._gpu.call(name)
        except MiniatureMemoryError:
            return (CaptureResult.CUDA_ERROR_OUT_OF_MEMORY, *(None for _ in values))
        except MiniatureError:
            return (_BROKEN, *(None for _ in values))
        return (_SUCCESS, *values)

    def _keep(self, kind: str, work: list[Callable[[], object]]) -> int:
        self._gpu.made(kind)
        handle = self._gpu.handle(len(self._gpu.calls) * 1000 + sum(self._gpu.calls.values()))
        self._things[handle] = work
        return handle

    def _take_memory(self, executable: int) -> None:
        if executable not in self._uploaded:
            self._uploaded.add(executable)
            self._gpu.graph_bytes += GRAPH_BYTES
