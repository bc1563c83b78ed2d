"""The engine beside an application that captures a CUDA graph of its own, in global mode as PyTorch does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from mostnet.engine import Engine, Output
from mostnet.engine.cuda.device import cuda_device
from mostnet.engine.cuda.graph import load_bindings
from mostnet.engine.cuda.streams import CudaStream

from .conftest import OPTIONAL, Case, same

FRAMES = 5
_BYTES = 1024


@pytest.fixture
def bindings(case: Case) -> Any:
    """``cuda.bindings.driver``."""
    found = load_bindings()
    if found is None:
        pytest.skip(f"{OPTIONAL}cuda-bindings is not installed")
    return found


@contextmanager
def capture(bindings: Any) -> Iterator[None]:
    """Capture a stream of the application in this thread; fails if another call has broken the capture."""
    device = cuda_device()
    mode = bindings.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_GLOBAL
    with device:
        stream, memory = CudaStream(device), device.driver.mem_alloc(_BYTES)
    handle = bindings.CUstream(stream.handle)
    with device:
        (begun,) = bindings.cuStreamBeginCapture(handle, mode)
        device.driver.memset_d8_async(int(memory), 0, _BYTES, stream.raw)
    try:
        yield
    finally:
        with device:
            ended, graph = bindings.cuStreamEndCapture(handle)
            if int(ended) == 0:
                bindings.cuGraphDestroy(graph)
            stream.free()
            memory.free()
    assert (int(begun), int(ended)) == (0, 0), "the capture is broken"


def in_this_thread(use: Callable[[], list[Output]]) -> list[Output]:
    return use()


def in_another_thread(use: Callable[[], list[Output]]) -> list[Output]:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(use).result()


@pytest.mark.parametrize("timeout_ms", [None, 10_000.0])
@pytest.mark.parametrize("run", [in_this_thread, in_another_thread])
def test_frames_run_beside_a_capture_and_leave_it_whole(
    case: Case,
    alone: list[Output],
    bindings: Any,
    run: Callable[[Callable[[], list[Output]]], list[Output]],
    timeout_ms: float | None,
) -> None:
    with Engine(case.plan, timeout_ms=timeout_ms) as engine:

        def use() -> list[Output]:
            return [engine.infer(frame) for frame in case.frames[:FRAMES]]

        with capture(bindings):
            outputs = run(use)
        engine.reset()
        with capture(bindings):
            streamed = run(lambda: list(engine.stream(case.frames[:FRAMES])))
    for found in (outputs, streamed):
        assert all(map(same, found, alone[:FRAMES]))
