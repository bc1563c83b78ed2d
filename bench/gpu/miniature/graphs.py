"""``cuda.bindings.driver`` on the miniature GPU: what CUDA graphs need of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from types import SimpleNamespace

from .captures import THREAD_LOCAL, Capture
from .gpu import MiniatureError, MiniatureGpu, MiniatureMemoryError

#: Memory that the miniature GPU takes for a graph, in bytes.
GRAPH_BYTES = 10_000_000


class CaptureResult(IntEnum):
    """``CUresult``, as far as graphs return it."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901


def graph_bindings(gpu: MiniatureGpu) -> SimpleNamespace:
    """A module like ``cuda.bindings.driver``; a graph is the list of captured operations."""
    success, failed = CaptureResult.CUDA_SUCCESS, CaptureResult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED

    def status(name: str, *values: object) -> tuple[object, ...]:
        try:
            gpu.call(name)
        except MiniatureMemoryError:
            return (CaptureResult.CUDA_ERROR_OUT_OF_MEMORY, *(None for _ in values))
        except MiniatureError:
            return (failed, *(None for _ in values))
        return (success, *values)

    things: dict[int, list[Callable[[], object]]] = {}
    uploaded: set[int] = set()
    captures: dict[int, Capture] = {}

    def keep(kind: str, work: list[Callable[[], object]]) -> int:
        gpu.made(kind)
        handle = len(gpu.calls) * 1000 + sum(gpu.calls.values())
        things[handle] = work
        return handle

    def begin(stream: int, mode: object) -> tuple[object, ...]:
        assert mode == "thread local"
        if gpu.streams[stream].queue:
            gpu.violations.append("a capture begins while the stream is at work")
        gpu.streams[stream].capture = []
        captures[stream] = gpu.captures.begin(THREAD_LOCAL)
        return status("cuStreamBeginCapture")

    def end(stream: int) -> tuple[object, ...]:
        captured, gpu.streams[stream].capture = gpu.streams[stream].capture, None
        assert captured is not None, "a capture ends that has not begun"
        capture = captures.pop(stream)
        gpu.captures.end(capture)
        result = (failed, None) if capture.broken else status("cuStreamEndCapture", 0)
        return (success, keep("graph", captured)) if result[0] is success else result

    def instantiate(graph: int, flags: int) -> tuple[object, ...]:
        result = status("cuGraphInstantiate", 0)
        return (success, keep("executable", list(things[graph]))) if result[0] is success else result

    def take_memory(executable: int) -> None:
        if executable not in uploaded:
            uploaded.add(executable)
            gpu.graph_bytes += GRAPH_BYTES

    def upload(executable: int, stream: int) -> tuple[object, ...]:
        assert stream in gpu.streams
        result = status("cuGraphUpload")
        if result[0] is success:
            take_memory(executable)
        return result

    def launch(executable: int, stream: int) -> tuple[object, ...]:
        result = status("cuGraphLaunch")
        if result[0] is success:
            take_memory(executable)
            gpu.log.append(("launch", executable))
            for work in things[executable]:
                gpu.streams[stream].put(work)
        return result

    def destroy(kind: str, name: str) -> Callable[[int], tuple[object, ...]]:
        def call(handle: int) -> tuple[object, ...]:
            del things[handle]
            if handle in uploaded:
                uploaded.remove(handle)
                gpu.graph_bytes -= GRAPH_BYTES
            gpu.destroyed(kind)
            return status(name)

        return call

    return SimpleNamespace(
        CUresult=CaptureResult,
        CUstreamCaptureMode=SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL="thread local"),
        CUstream=int,
        cuStreamBeginCapture=begin,
        cuStreamEndCapture=end,
        cuGraphInstantiate=instantiate,
        cuGraphUpload=upload,
        cuGraphLaunch=launch,
        cuGraphDestroy=destroy("graph", "cuGraphDestroy"),
        cuGraphExecDestroy=destroy("executable", "cuGraphExecDestroy"),
    )
