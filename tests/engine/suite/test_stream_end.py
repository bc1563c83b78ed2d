"""How a stream ends early: the loop is left, the generator dropped, the consumer interrupted, the source blocked."""

import gc
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.engine.streams.pipeline import Pipeline
from tests.engine.backends import Backend, shorten


class Source:
    """An endless source that makes a generator, and notes the thread that closed it."""

    def __init__(self) -> None:
        self.closed_in = ""

    def __iter__(self) -> Iterator[np.ndarray]:
        number = 0
        try:
            while True:
                yield frame_of(number % 200)
                number += 1
                time.sleep(0.001)
        finally:
            self.closed_in = threading.current_thread().name


def test_leaving_the_loop_ends_the_threads_and_closes_the_source(backend: Backend) -> None:
    source = Source()
    with backend.open() as engine:
        before = threading.active_count()
        for output in engine.stream(source):
            if output.frame_id == 5:
                break
        assert threading.active_count() == before
        assert source.closed_in == "mostnet-reader"
        output = engine.infer(frame_of(99))
    *seen, newest = history(output.mask)
    assert (seen, newest) == (list(range(output.frame_id)), 99), "frames read ahead stay part of the state"
    assert 6 <= len(seen) <= 6 + 3


def test_an_iterator_that_is_passed_in_stays_open(backend: Backend) -> None:
    numbers = (frame_of(number) for number in range(20))
    with backend.open() as engine:
        for _ in engine.stream(numbers):
            break
        rest = list(engine.stream(numbers))
    taken_beyond = 20 - 1 - len(rest)
    assert 0 <= taken_beyond <= 3 + 1, "one frame per slot, and one in the reader's hand"


def test_a_source_that_is_no_generator_stays_open(backend: Backend) -> None:
    class Camera:
        closed = False

        def __iter__(self) -> "Camera":
            return self

        def __next__(self) -> np.ndarray:
            return frame_of(1)

        def close(self) -> None:
            self.closed = True

    camera = Camera()
    with backend.open() as engine:
        next(engine.stream(camera))
        assert not camera.closed


def test_a_generator_that_is_dropped_ends_its_threads(backend: Backend) -> None:
    with backend.open() as engine:
        before = threading.active_count()
        stream = engine.stream(Source())
        next(stream)
        assert threading.active_count() > before
        del stream
        gc.collect()
        assert threading.active_count() == before
        engine.infer(frame_of(1))


def test_keyboard_interrupt_in_the_consumer(backend: Backend) -> None:
    def consume() -> None:
        for output in engine.stream(Source()):
            if output.frame_id == 3:
                raise KeyboardInterrupt

    with backend.open() as engine:
        before = threading.active_count()
        with pytest.raises(KeyboardInterrupt):
            consume()
        assert threading.active_count() == before
        engine.infer(frame_of(1))


def test_an_interrupt_while_a_stream_ends_leaves_the_engine_usable(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Pipeline.stop

    def interrupted(self: Pipeline, *, wait: bool = True) -> None:
        stop(self, wait=wait)
        raise KeyboardInterrupt

    with backend.open() as engine:
        stream = engine.stream(Source())
        next(stream)
        with monkeypatch.context() as interrupting:
            interrupting.setattr(Pipeline, "stop", interrupted)
            with pytest.raises(KeyboardInterrupt):
                stream.close()
        assert history(engine.infer(frame_of(99)).mask)[-1] == 99
        assert len(list(engine.stream([frame_of(1)] * 5))) == 5


def test_a_blocked_source_is_left_behind_and_never_touches_the_session(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "READER_WAIT_S", 0.05)
    unblock, closed = threading.Event(), threading.Event()

    def camera() -> Iterator[np.ndarray]:
        try:
            yield frame_of(1)
            unblock.wait()
            yield frame_of(2)
        finally:
            closed.set()

    with backend.open() as engine:
        for _ in engine.stream(camera()):
            break
        assert history(engine.infer(frame_of(3)).mask) == [1, 3]
        unblock.set()
        assert closed.wait(20)
        output = engine.infer(frame_of(4))
        assert (output.frame_id, history(output.mask)) == (2, [1, 3, 4])
