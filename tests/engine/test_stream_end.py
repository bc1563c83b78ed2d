"""How a stream ends early: leaving the loop, closing, interrupts, blocked sources. ``conftest`` looks for threads."""

import gc
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.contract import EngineClosedError, EngineTimeoutError
from mostnet.engine import pipeline

from .fake import fake_session, frame_of, history


class Source:
    """An endless source that makes a generator, and notes the thread that closed it."""

    def __init__(self, pause_s: float = 0.001) -> None:
        self.closed_in = ""
        self._pause_s = pause_s

    def __iter__(self) -> Iterator[np.ndarray]:
        number = 0
        try:
            while True:
                yield frame_of(number % 200)
                number += 1
                time.sleep(self._pause_s)
        finally:
            self.closed_in = threading.current_thread().name


def test_break_ends_the_threads_and_closes_the_source() -> None:
    session, lane = fake_session((0, 2, 0))
    source, before = Source(), threading.active_count()
    with session:
        for output in session.stream(source):
            if output.frame_id == 5:
                break
        assert threading.active_count() == before
        assert source.closed_in == "mostnet-reader"
        computed = lane.done("execute")
        assert computed == list(range(len(computed)))
        assert 6 <= len(computed) <= 6 + 3
        assert history(session.infer(frame_of(99))) == [*computed, 99]
    assert lane.violations == []


def test_an_iterator_that_is_passed_in_stays_open() -> None:
    session, _ = fake_session()
    numbers = (frame_of(number) for number in range(20))
    with session:
        for _ in session.stream(numbers):
            break
        rest = list(session.stream(numbers))
    taken_beyond = 20 - 1 - len(rest)
    assert 0 <= taken_beyond <= 3 + 1, "one frame per slot, and one in the reader's hand"


def test_an_interrupt_while_a_stream_ends_leaves_the_engine_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    session, lane = fake_session((0, 2, 0))
    stop = pipeline.Pipeline.stop

    def interrupted(self: pipeline.Pipeline, *, wait: bool = True) -> None:
        stop(self, wait=wait)
        raise KeyboardInterrupt

    with session:
        monkeypatch.setattr(pipeline.Pipeline, "stop", interrupted)
        stream = session.stream(Source())
        next(stream)
        with pytest.raises(KeyboardInterrupt):
            stream.close()
        monkeypatch.undo()
        assert history(session.infer(frame_of(99)))[-1] == 99
        assert len(list(session.stream([frame_of(1)] * 5))) == 5
    assert lane.violations == []


def test_a_source_that_stalls_runs_into_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    unblock = threading.Event()

    def camera() -> Iterator[np.ndarray]:
        yield frame_of(1)
        unblock.wait()

    session, _ = fake_session()
    with session:
        stream = session.stream(camera(), timeout_ms=500)
        assert history(next(stream)) == [1]
        begun_s = time.perf_counter()
        with pytest.raises(EngineTimeoutError, match="source of this stream gave no frame within 500 ms"):
            next(stream)
        assert time.perf_counter() - begun_s < pipeline.READER_WAIT_S, "a stalled source is not waited for again"
        assert history(session.infer(frame_of(2))) == [1, 2]
        unblock.set()


def test_an_endless_timeout_is_none() -> None:
    session, _ = fake_session()
    with session:
        assert len(list(session.stream([frame_of(1)] * 5, timeout_ms=float("inf")))) == 5
        assert session.infer(frame_of(2), timeout_ms=float("inf")).finite


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_running_stream_ends_in_a_forked_child() -> None:
    session, _ = fake_session((0, 2, 0))
    with session:
        stream = session.stream(Source())
        next(stream)
        child = os.fork()
        if child == 0:
            try:
                next(stream)
                os._exit(1)
            except EngineClosedError as error:
                os._exit(0 if "forked from it" in str(error) else 2)
        deadline = time.perf_counter() + 10
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.perf_counter() < deadline:
            time.sleep(0.01)
        if ended == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert ended == (child, 0)
        stream.close()


def test_a_source_that_is_no_generator_stays_open() -> None:
    class Camera:
        closed = False

        def __iter__(self) -> "Camera":
            return self

        def __next__(self) -> np.ndarray:
            return frame_of(1)

        def close(self) -> None:
            self.closed = True

    session, camera = fake_session()[0], Camera()
    with session:
        next(session.stream(camera))
        assert not camera.closed


def test_closing_in_the_loop_ends_the_stream() -> None:
    session, lane = fake_session((0, 2, 0))
    source, before = Source(), threading.active_count()
    stream = session.stream(source)
    outputs = [next(stream) for _ in range(4)]
    session.close()
    assert threading.active_count() == before
    with pytest.raises(EngineClosedError, match="is closed"):
        next(stream)
    assert len(outputs) == 4
    assert source.closed_in == "mostnet-reader"
    assert lane.closed == 1
    assert lane.violations == []


@pytest.mark.parametrize("pause_s", [0.001, 0.5])
def test_closing_from_another_thread_ends_the_stream(pause_s: float) -> None:
    session, lane = fake_session((0, 5, 0))
    threading.Timer(0.1, session.close).start()
    with pytest.raises(EngineClosedError, match="is closed"):
        for _ in session.stream(Source(pause_s)):
            pass
    deadline = time.perf_counter() + 2
    while not lane.closed and time.perf_counter() < deadline:
        time.sleep(0.001)
    assert lane.closed == 1


def test_the_source_may_close_the_engine() -> None:
    session, lane = fake_session()

    def source() -> Iterator[np.ndarray]:
        yield frame_of(1)
        yield frame_of(2)
        session.close()
        yield frame_of(3)

    with pytest.raises(EngineClosedError):
        list(session.stream(source()))
    assert lane.closed == 1
    assert 3 not in lane.done("upload")


def test_keyboard_interrupt_in_the_consumer() -> None:
    session, _ = fake_session((0, 2, 0))
    before = threading.active_count()

    def consume() -> None:
        for output in session.stream(Source()):
            if output.frame_id == 3:
                raise KeyboardInterrupt

    with session:
        with pytest.raises(KeyboardInterrupt):
            consume()
        assert threading.active_count() == before
        session.infer(frame_of(1))


def test_a_generator_that_is_dropped_ends_its_threads() -> None:
    session, _ = fake_session()
    before = threading.active_count()
    with session:
        stream = session.stream(Source())
        next(stream)
        assert threading.active_count() == before + 4
        del stream
        gc.collect()
        assert threading.active_count() == before
        session.infer(frame_of(1))


def test_a_stream_that_is_never_started_costs_nothing() -> None:
    session, _ = fake_session()
    before = threading.active_count()
    with session:
        stream = session.stream(Source())
        session.infer(frame_of(1))
        assert threading.active_count() == before
        stream.close()


def test_a_blocked_source_is_left_behind_and_never_touches_the_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "READER_WAIT_S", 0.05)
    session, lane = fake_session()
    unblock, closed = threading.Event(), threading.Event()

    def camera() -> Iterator[np.ndarray]:
        try:
            yield frame_of(1)
            unblock.wait()
            yield frame_of(2)
        finally:
            closed.set()

    with session:
        for _ in session.stream(camera()):
            break
        assert history(session.infer(frame_of(3))) == [1, 3]
        unblock.set()
        assert closed.wait(2)
        assert history(session.infer(frame_of(4))) == [1, 3, 4]
    assert lane.done("upload") == [1, 3, 4]


def test_memory_is_flat_over_many_frames() -> None:
    session, lane = fake_session()
    frame = frame_of(1)

    def frames(count: int) -> Iterator[np.ndarray]:
        for _ in range(count):
            lane.log.clear()
            yield frame

    with session:
        for _ in session.stream(frames(300)):
            pass
        tracemalloc.start()
        try:
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for _ in session.stream(frames(3000)):
                pass
            for _ in range(1000):
                session.infer(frame)
            lane.log.clear()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < 60_000  # one frame has 12 kB; one object of 64 bytes kept per frame would be 256 kB
