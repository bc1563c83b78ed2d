"""What is dropped without ``close`` is freed at once, and not at the next garbage collection."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from itertools import repeat

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.contract import FrameError
from tests.engine.backends import Backend, shorten

FRAME = frame_of(1)


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def infer(backend: Backend) -> None:
    backend.open().infer(FRAME)


def borrow(backend: Backend) -> None:
    for results in backend.lends:
        backend.open(results=results).infer(FRAME)


def run_to_the_end(backend: Backend) -> None:
    list(backend.open().stream([FRAME] * 5))


def leave_half_way(backend: Backend) -> None:
    engine = backend.open()
    for _ in zip(engine.stream(repeat(FRAME)), range(3), strict=False):
        pass


def drop_the_engine_first(backend: Backend) -> None:
    stream = backend.open().stream(repeat(FRAME))
    for _ in range(3):
        next(stream)


def drop_an_open_stream(backend: Backend) -> None:
    engine = backend.open()
    running = engine.stream(repeat(FRAME))
    next(running)


def drop_two_sessions(backend: Backend) -> None:
    second = backend.open().session()
    assert history(second.infer(FRAME).mask) == [1]


def have_a_frame_refused(backend: Backend) -> None:
    engine = backend.open()
    with pytest.raises(FrameError):
        engine.infer(FRAME[:3])
    with pytest.raises(FrameError):
        list(engine.stream([FRAME, FRAME[:3]]))


def have_the_source_fail(backend: Backend) -> None:
    def source() -> Iterator[np.ndarray]:
        yield FRAME
        failed.set()
        raise OSError("cable out")

    failed = threading.Event()
    running = backend.open().stream(source())
    next(running)
    assert failed.wait(20)  # the error is stored, and nobody asks for it


def have_a_frame_fail(backend: Backend) -> None:
    engine = backend.open()
    backend.fail("execute")
    with pytest.raises(backend.error):
        engine.infer(FRAME)
    backend.fail("execute", after=2)
    with pytest.raises(backend.error):
        list(engine.stream(repeat(FRAME)))


def lend_buffers(backend: Backend) -> None:
    engine = backend.open()

    def camera() -> Iterator[np.ndarray]:
        for _ in range(4):
            buffer = engine.input_buffer()
            buffer[...] = FRAME
            yield buffer

    list(engine.stream(camera()))


@pytest.mark.parametrize(
    "use",
    [
        infer,
        borrow,
        run_to_the_end,
        leave_half_way,
        drop_the_engine_first,
        drop_an_open_stream,
        drop_two_sessions,
        have_a_frame_refused,
        have_the_source_fail,
        have_a_frame_fail,
        lend_buffers,
    ],
)
def test_the_last_reference_frees_everything(backend: Backend, use: Callable[[Backend], None]) -> None:
    use(backend)
    backend.check_freed()


def test_an_engine_that_cannot_be_made_leaves_nothing(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("no more")

    monkeypatch.setattr("mostnet.engine.session.FrameRunner", fail)
    with pytest.raises(OSError, match="no more"):
        backend.open()
    backend.check_freed()


def test_a_second_session_outlives_a_dropped_engine(backend: Backend) -> None:
    engine = backend.open()
    gone = weakref.ref(engine)
    second = engine.session()
    del engine
    assert gone() is None
    assert history(second.infer(FRAME).mask) == [1]
    assert len(list(second.stream([FRAME] * 3))) == 3


def test_a_source_that_blocks_keeps_no_memory(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, "READER_WAIT_S", 0.05)
    unblock = threading.Event()

    def camera() -> Iterator[np.ndarray]:
        yield FRAME
        unblock.wait()

    running = backend.open().stream(camera())
    next(running)
    del running
    try:
        backend.check_freed()
    finally:
        unblock.set()


def test_threads_end_with_a_dropped_stream(backend: Backend) -> None:
    before = threading.active_count()
    drop_an_open_stream(backend)
    deadline_s = time.perf_counter() + 5
    while threading.active_count() > before and time.perf_counter() < deadline_s:
        time.sleep(0.005)
    assert threading.active_count() <= before
