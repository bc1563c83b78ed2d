"""``close``: from any thread, twice, in a stream; what is under way is finished, and all memory is given back."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import METADATA, frame_of, history
from mostnet.contract import EngineClosedError
from mostnet.engine import Output, Session
from mostnet.engine.cuda import waits
from mostnet.engine.ring import Ring
from mostnet.engine.slot import Slot
from tests.engine.backends import Backend, collect, only

FRAMES = [frame_of(number) for number in range(20)]


def calls(session: Session) -> list[Callable[[], object]]:
    """Every call that a closed session refuses."""
    return [lambda: session.infer(FRAMES[0]), lambda: session.stream([]), session.reset, session.input_buffer]


def test_close_twice_and_use_after_it(backend: Backend) -> None:
    engine = backend.open()
    engine.infer(FRAMES[1])
    engine.close()
    engine.close()
    for call in [*calls(engine), engine.session]:
        with pytest.raises(EngineClosedError, match="is closed; open a new Engine"):
            call()
    assert (engine.stats.frames, engine.metadata.size_hw) == (1, METADATA.size_hw)


def test_close_gives_the_buffers_back(backend: Backend) -> None:
    engine = backend.open()
    buffer = weakref.ref(engine.input_buffer())
    engine.close()
    gc.collect()
    assert buffer() is None


def test_closing_the_engine_closes_its_sessions(backend: Backend) -> None:
    engine = backend.open()
    session = engine.session()
    engine.close()
    for call in calls(session):
        with pytest.raises(EngineClosedError, match="is closed"):
            call()
    session.close()


def test_a_closed_session_leaves_the_engine_open(backend: Backend) -> None:
    with backend.open() as engine:
        engine.infer(FRAMES[0])
        engine.session().close()
        assert history(engine.infer(FRAMES[1]).mask) == [0, 1]


def test_close_lets_an_infer_in_another_thread_finish(backend: Backend) -> None:
    engine = backend.open()
    outputs: list[Output] = []
    thread = threading.Thread(target=lambda: outputs.append(engine.infer(FRAMES[1])))
    with backend.hold() as reached:
        thread.start()
        assert reached.wait(20)
        engine.close()
        with pytest.raises(EngineClosedError):
            engine.infer(FRAMES[2])
    thread.join()
    assert history(outputs[0].mask) == [1]


def test_closing_in_the_loop_ends_the_stream(backend: Backend) -> None:
    engine = backend.open()
    before = threading.active_count()
    stream = engine.stream(FRAMES)
    for _ in range(4):
        next(stream)
    engine.close()
    assert threading.active_count() <= before
    with pytest.raises(EngineClosedError, match="is closed"):
        next(stream)


@only(lambda kind: kind.asynchronous)
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("timeout_ms", [None, 20_000])
def test_closing_while_a_result_is_waited_for(
    backend: Backend, timeout_ms: float | None, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = backend.open()
    errors: list[BaseException | None] = []
    consumer = threading.Thread(target=lambda: errors.append(collect(engine.stream(FRAMES, timeout_ms=timeout_ms))[1]))
    woken = threading.Event()
    if late:  # the consumer looks at the device again only after the close
        monkeypatch.setattr(
            waits, "sleep", lambda s: woken.wait(20) if threading.current_thread() is consumer else time.sleep(s)
        )
    with backend.hold() as reached:
        consumer.start()
        assert reached.wait(20)
        closer = threading.Thread(target=engine.close)
        closer.start()
        time.sleep(0.05)
        assert closer.is_alive(), "memory that the device may still write to is not freed"
    closer.join()
    woken.set()
    consumer.join()
    assert isinstance(errors[0], EngineClosedError)
    backend.check_closed()


@pytest.mark.parametrize("pause_s", [0.001, 0.3])
def test_closing_from_another_thread_ends_the_stream(backend: Backend, pause_s: float) -> None:
    def source() -> Iterator[np.ndarray]:
        while True:
            yield FRAMES[0]
            time.sleep(pause_s)

    engine = backend.open()
    timer = threading.Timer(0.05, engine.close)
    timer.start()
    with pytest.raises(EngineClosedError, match="is closed"):
        for _ in engine.stream(source()):
            pass
    timer.join()


def test_the_source_may_close_the_engine(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[int] = []
    submit = Ring.submit

    def counted(ring: Ring, frame: Any, frame_id: int, *rest: Any) -> Slot:
        submitted.append(frame_id)
        return submit(ring, frame, frame_id, *rest)

    monkeypatch.setattr(Ring, "submit", counted)

    def source() -> Iterator[np.ndarray]:
        yield from FRAMES[:2]
        engine.close()
        yield FRAMES[3]

    engine = backend.open()
    with pytest.raises(EngineClosedError):
        list(engine.stream(source()))
    assert submitted == [0, 1]


def test_used_and_closed_in_another_thread(backend: Backend) -> None:
    engine = backend.open()
    seen: list[int] = []

    def use() -> None:
        seen.extend(history(engine.infer(FRAMES[7]).mask))
        engine.close()
        backend.check_closed()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [7]
