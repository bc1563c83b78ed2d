"""No memory is kept per frame."""

import gc
import resource
import sys
import tracemalloc

from mostnet.bench.gpu.standin.toy import frame_of
from mostnet.engine import Engine
from tests.engine.backends import Backend

FRAMES = [frame_of(number) for number in range(8)]


def run(backend: Backend, engine: Engine, count: int) -> None:
    """Frames by a stream, and half as many one by one."""
    for _ in engine.stream(FRAMES[number % 8] for number in range(count)):
        backend.forget()
    for number in range(count // 2):
        engine.infer(FRAMES[number % 8])
        backend.forget()
    gc.collect()


def test_python_keeps_nothing_per_frame(backend: Backend) -> None:
    with backend.open() as engine:
        list(engine.stream(FRAMES))  # kept at once, so that there is spare memory for results from now on
        run(backend, engine, 60)
        tracemalloc.start()
        try:
            run(backend, engine, 60)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            run(backend, engine, 600)
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert after - before < 30_000  # one object of 64 bytes kept per frame would be 58 kB, one picture 15 kB
    assert peak - before < 1_000_000  # 600 frames kept until their stream ends would be 9 MB


def test_resident_memory_is_flat(backend: Backend) -> None:
    scale = 1 if sys.platform == "darwin" else 1024
    with backend.open() as engine:
        run(backend, engine, 200)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
        run(backend, engine, 400)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale - before
    assert grown < 8_000_000  # the outputs of 600 frames are 37 MB
