"""One call at a time in a session, and how far a stream reads ahead of its consumer."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.contract import EngineBusyError
from mostnet.engine import Output
from tests.engine.backends import Backend
from tests.toy_graph import assert_reference

FRAMES = [frame_of(number) for number in range(20)]


def test_two_threads_at_once_are_refused_and_one_after_the_other_is_fine(backend: Backend) -> None:
    with backend.open() as engine:
        with backend.hold() as reached:
            thread = threading.Thread(target=engine.infer, args=[FRAMES[1]])
            thread.start()
            assert reached.wait(20)
            with pytest.raises(EngineBusyError, match=r"another thread .*; take one engine.session\(\) per thread"):
                engine.infer(FRAMES[2])
        thread.join()
        assert history(engine.infer(FRAMES[3]).mask) == [1, 3]


def test_a_session_is_busy_until_its_stream_is_finished(backend: Backend) -> None:
    with backend.open() as engine:
        stream = engine.stream(FRAMES)
        next(stream)
        with pytest.raises(EngineBusyError, match=r"^this session is in use: a stream\(\) of it is not finished"):
            engine.infer(FRAMES[1])
        with pytest.raises(EngineBusyError):
            next(engine.stream([FRAMES[1]]))
        stream.close()
        engine.infer(FRAMES[1])


def test_a_stream_that_is_never_started_costs_nothing(backend: Backend) -> None:
    with backend.open() as engine:
        before = threading.active_count()
        stream = engine.stream(FRAMES)
        engine.infer(FRAMES[1])
        assert threading.active_count() == before
        stream.close()


@pytest.mark.parametrize("slots", [2, 3, 5])
def test_a_slow_consumer_holds_the_source_back(backend: Backend, slots: int) -> None:
    read = 0

    def source() -> Iterator[np.ndarray]:
        nonlocal read
        for frame in FRAMES:
            read += 1
            yield frame

    outputs: list[Output] = []
    with backend.open(slots=slots) as engine:
        for output in engine.stream(source()):
            outputs.append(output)
            deadline_s = time.perf_counter() + 20
            while read < min(20, len(outputs) + slots) and time.perf_counter() < deadline_s:
                time.sleep(0.001)
            assert read <= len(outputs) + slots + 1  # one more is in the reader's hand
    assert_reference(outputs, FRAMES)


def test_a_result_does_not_wait_for_the_next_frame(backend: Backend) -> None:
    seen = threading.Semaphore(0)

    def camera() -> Iterator[np.ndarray]:
        for number, frame in enumerate(FRAMES):
            yield frame
            assert seen.acquire(timeout=20), f"no result of frame {number} before the next was given"

    outputs = []
    with backend.open() as engine:
        for output in engine.stream(camera()):
            outputs.append(output)
            seen.release()
        assert engine.stats.frames == 20
    assert_reference(outputs, FRAMES)
