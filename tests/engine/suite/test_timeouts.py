"""``timeout_ms``: a late frame is an error, its result is dropped, but the next frame continues from its state."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.contract import EngineTimeoutError
from mostnet.engine.streams.pipeline import READER_WAIT_S
from tests.engine.backends import Backend, collect, only
from tests.engine.fake import fake_session
from tests.toy_graph import assert_reference

FRAMES = [frame_of(number) for number in range(8)]


@pytest.mark.parametrize("timeout_ms", [0, -1, float("nan")])
def test_a_timeout_must_be_positive(backend: Backend, timeout_ms: float) -> None:
    with backend.open() as engine:
        for call in (lambda **options: engine.infer(FRAMES[0], **options), engine.input_buffer):
            with pytest.raises(ValueError, match="expected milliseconds above 0"):
                call(timeout_ms=timeout_ms)
        with pytest.raises(ValueError, match="expected milliseconds above 0"):
            engine.stream(FRAMES, timeout_ms=timeout_ms)


def test_an_endless_timeout_is_none(backend: Backend) -> None:
    with backend.open(timeout_ms=float("inf")) as engine:
        first = engine.infer(FRAMES[0], timeout_ms=float("inf"))
        assert_reference([first, *engine.stream(FRAMES[1:], timeout_ms=float("inf"))], FRAMES)


def test_a_late_frame_is_reported_and_stays_in_the_state(backend: Backend) -> None:
    with backend.open(timeout_ms=20_000) as engine:
        engine.infer(FRAMES[1])
        with pytest.raises(EngineTimeoutError, match=r"frame 1 was not ready after \d+ ms \(timeout_ms is 0.0001\)"):
            engine.infer(FRAMES[2], timeout_ms=1e-4)
        output = engine.infer(FRAMES[3])
    assert output.frame_id == 2
    assert_reference([output], FRAMES[3:4], before=FRAMES[1:3])


@only(lambda kind: kind.asynchronous)
def test_a_late_frame_is_reported_in_time_and_the_next_call_waits_for_it(backend: Backend) -> None:
    with backend.open() as engine, ExitStack() as held:
        engine.infer(FRAMES[1])
        held.enter_context(backend.hold())
        with pytest.raises(EngineTimeoutError, match=r"frame 1 was not ready after \d+ ms \(timeout_ms is 20\)"):
            engine.infer(FRAMES[2], timeout_ms=20)
        for call in (lambda **options: engine.infer(FRAMES[5], **options), engine.input_buffer):
            with pytest.raises(EngineTimeoutError, match="of this session, up to frame 1, are not done after another"):
                call(timeout_ms=20)
        timer = threading.Timer(0.05, held.close)
        timer.start()
        output = engine.infer(FRAMES[3])
        timer.join()
    assert (output.frame_id, history(output.mask)) == (2, [1, 2, 3])


def test_a_stream_that_times_out_ends_and_the_next_call_waits(backend: Backend) -> None:
    taken = threading.Event()

    def source() -> Iterator[np.ndarray]:
        yield from FRAMES[:4]
        assert taken.wait(20)
        held.enter_context(backend.hold())
        yield from FRAMES[4:]

    with backend.open() as engine, ExitStack() as held:
        outputs, error = collect(engine.stream(source(), timeout_ms=500), taken=4, then=taken.set)
        assert isinstance(error, EngineTimeoutError)
        assert re.match(r"frame 4 was not ready after \d+ ms \(timeout_ms is 500\)", str(error))
        with pytest.raises(EngineTimeoutError, match="are not done after another"):
            engine.infer(frame_of(50), timeout_ms=10)
        held.close()
        late = engine.infer(frame_of(60))
    assert_reference(outputs, FRAMES[:4])
    *seen, newest = history(late.mask)
    assert (seen, newest) == (list(range(late.frame_id)), 60), "every frame that has a number is in the state"
    assert 5 <= len(seen) <= 4 + 3


def test_a_source_that_stalls_runs_into_the_timeout(backend: Backend) -> None:
    unblock = threading.Event()

    def camera() -> Iterator[np.ndarray]:
        yield FRAMES[1]
        unblock.wait()

    with backend.open() as engine:
        stream = engine.stream(camera(), timeout_ms=500)
        assert history(next(stream).mask) == [1]
        begun_s = time.perf_counter()
        with pytest.raises(EngineTimeoutError, match="source of this stream gave no frame within 500 ms"):
            next(stream)
        assert time.perf_counter() - begun_s < READER_WAIT_S, "a stalled source is not waited for again"
        assert history(engine.infer(FRAMES[2]).mask) == [1, 2]
        unblock.set()


def test_only_a_source_that_blocks_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    unblock = threading.Event()

    def camera() -> Iterator[np.ndarray]:
        yield FRAMES[1]
        unblock.wait()

    session, _ = fake_session((0, 40, 0))
    with session:
        for _ in range(5):
            _, error = collect(session.stream([FRAMES[1]] * 100, timeout_ms=10))
            assert isinstance(error, EngineTimeoutError)
            session.infer(FRAMES[1])
        assert "still blocks" not in caplog.text
        _, error = collect(session.stream(camera(), timeout_ms=500))
        assert isinstance(error, EngineTimeoutError)
        assert "a stream has ended while its source still blocks in next()" in caplog.text
        unblock.set()
