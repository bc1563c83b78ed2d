"""``input_buffer``: which frames are copied, whose the memory is at what time, and who may ask for it."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import SIZE_HW, frame_of, history
from mostnet.contract import EngineBusyError, EngineClosedError, EngineTimeoutError, FrameError
from mostnet.engine import Session
from mostnet.engine.ring import Ring
from tests.engine.backends import Backend, collect, every_stage, shorten
from tests.toy_graph import assert_reference

STALE = "input buffer whose loan has ended"
FRAMES = [frame_of(number) for number in range(40)]


def filled(session: Session, number: int) -> np.ndarray:
    """A buffer that a camera has written."""
    buffer = session.input_buffer()
    buffer[:] = frame_of(number)
    return buffer


def camera(session: Session, count: int) -> Iterator[np.ndarray]:
    """The loop that the documentation recommends to the owner of a camera."""
    for number in range(count):
        yield filled(session, number)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the frames that were copied into a slot, from the ring itself: no result tells."""
    seen: list[int] = []
    submit = Ring.submit

    def noted(ring: Ring, frame: np.ndarray | None, *rest: object) -> object:
        if frame is not None:
            seen.append(int(frame[0, 0, 0]))
        return submit(ring, frame, *rest)

    monkeypatch.setattr(Ring, "submit", noted)
    return seen


def test_a_buffer_is_not_copied_and_any_other_frame_is(backend: Backend, copies: list[int]) -> None:
    with backend.open() as engine:
        outputs = [engine.infer(FRAMES[number] if number % 3 == 2 else filled(engine, number)) for number in range(12)]
    assert copies == [2, 5, 8, 11]
    assert_reference(outputs, FRAMES[:12])


def test_a_buffer_is_one_of_a_slot(backend: Backend) -> None:
    with backend.open() as engine:
        starts = []
        for number in range(6):
            buffer = filled(engine, number)
            assert (buffer.shape, buffer.dtype, buffer.flags.c_contiguous) == ((*SIZE_HW, 3), np.uint8, True)
            assert engine.input_buffer() is buffer, "asked twice, it is the same"
            starts.append(buffer.ctypes.data)
            engine.infer(buffer)
        assert starts[:3] == starts[3:]
        assert len(set(starts)) == 3


def test_a_view_of_the_buffer_that_is_another_picture_is_copied(backend: Backend) -> None:
    with backend.open() as engine:
        whole = engine.infer(filled(engine, 7)[:])
        buffer = engine.input_buffer()
        buffer[:] = frame_of(8)[::-1]
        turned = engine.infer(buffer[::-1])
    assert_reference([whole, turned], [frame_of(7), frame_of(8)])


@pytest.mark.parametrize("later", range(1, 8))
def test_a_buffer_whose_time_is_over_is_refused(backend: Backend, later: int) -> None:
    with backend.open() as engine:
        buffer = filled(engine, 200)
        for frame in FRAMES[:later]:
            engine.infer(frame)
        with pytest.raises(FrameError, match=STALE):
            engine.infer(buffer)
        output = engine.infer(FRAMES[later])
        assert output.frame_id == later, "a refused frame has no number"
        assert history(output.mask) == list(range(later + 1))


def test_a_buffer_that_was_handed_in_is_the_engines_again(backend: Backend) -> None:
    with backend.open() as engine:
        buffer = filled(engine, 1)
        engine.infer(buffer)
        with pytest.raises(FrameError, match=STALE):
            engine.infer(buffer)
        other = filled(engine, 2)
        with pytest.raises(FrameError, match=STALE):
            engine.infer(buffer)
        assert history(engine.infer(other).mask) == [1, 2], "the loan outlives a refused frame"


@every_stage
def test_a_frame_that_fails_takes_its_buffer_with_it(backend: Backend, stage: str) -> None:
    with backend.open() as engine:
        backend.fail(stage)
        buffer = filled(engine, 1)
        with pytest.raises(backend.error):
            engine.infer(buffer)
        with pytest.raises(FrameError, match=STALE):
            engine.infer(buffer)
        assert history(engine.infer(filled(engine, 2)).mask) == [2]


def test_the_buffer_of_one_session_is_an_array_to_another(backend: Backend, copies: list[int]) -> None:
    with backend.open() as engine, engine.session() as other:
        buffer = filled(engine, 3)
        assert history(other.infer(buffer).mask) == [3]
        assert copies == [3]
        assert history(engine.infer(buffer).mask) == [3]
        assert copies == [3]


@pytest.mark.parametrize("slots", [2, 3, 5])
def test_a_camera_writes_into_the_slots(backend: Backend, copies: list[int], slots: int) -> None:
    with backend.open(slots=slots) as engine:
        for _ in range(2):
            assert_reference(engine.stream(camera(engine, 40)), FRAMES)
            engine.reset()
    assert copies == []


def test_a_slow_consumer_holds_the_camera_back(backend: Backend) -> None:
    asked = []

    def source() -> Iterator[np.ndarray]:
        for number in range(8):
            asked.append(number)
            yield filled(engine, number)

    outputs = []
    with backend.open() as engine:
        for output in engine.stream(source()):
            outputs.append(output)
            threading.Event().wait(0.01)
            assert len(asked) <= len(outputs) + 4, "one buffer is waited for beside three frames"
    assert_reference(outputs, FRAMES[:8])


def test_frames_and_buffers_mixed_in_a_stream(backend: Backend) -> None:
    def source() -> Iterator[np.ndarray]:
        for number, frame in enumerate(FRAMES):
            if number % 4 == 1:
                filled(engine, 99)  # asked for and not used: the frame overwrites it
            yield frame if number % 2 else filled(engine, number)

    with backend.open() as engine:
        assert_reference(engine.stream(source()), FRAMES)


def test_a_stale_buffer_ends_the_stream_after_the_frames_before_it(backend: Backend) -> None:
    def source() -> Iterator[np.ndarray]:
        buffer = filled(engine, 1)
        yield buffer
        yield buffer

    with backend.open() as engine:
        outputs, error = collect(engine.stream(source()))
        assert [history(output.mask) for output in outputs] == [[1]]
        assert isinstance(error, FrameError)
        assert history(engine.infer(filled(engine, 2)).mask) == [1, 2]


def test_the_source_waits_for_a_buffer_as_long_as_it_says(backend: Backend) -> None:
    full, waits = threading.Event(), []

    def source() -> Iterator[np.ndarray]:
        for frame in FRAMES[:9]:
            try:
                buffer = engine.input_buffer(timeout_ms=20)
            except EngineTimeoutError as error:
                waits.append(str(error))
                full.set()
                buffer = engine.input_buffer()
            buffer[:] = frame
            yield buffer

    with backend.open() as engine:
        stream = engine.stream(source())
        first = next(stream)
        assert full.wait(20)
        assert_reference([first, *stream], FRAMES[:9])
    assert waits[0].startswith("no slot was free for an input buffer within 20 ms")


def test_only_the_source_of_a_running_stream_gets_one(backend: Backend) -> None:
    with backend.open() as engine:
        stream = engine.stream(FRAMES)
        next(stream)
        with pytest.raises(EngineBusyError, match=r"a stream\(\) of it is not finished"):
            engine.input_buffer()
        stream.close()
        engine.input_buffer()


def test_a_source_that_outlives_its_stream_goes_on_in_the_next(backend: Backend) -> None:
    with backend.open() as engine:
        numbers = camera(engine, 30)
        for _ in engine.stream(numbers):
            break
        rest = [history(output.mask)[-1] for output in engine.stream(numbers)]
    assert 30 - 1 - 4 <= len(rest) <= 30 - 1
    assert rest == list(range(30 - len(rest), 30))


def test_a_blocked_source_keeps_its_buffer_and_no_frame_comes_near_it(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    unblock, written = threading.Event(), threading.Event()

    def source() -> Iterator[np.ndarray]:
        yield frame_of(1)
        buffer = engine.input_buffer()
        written.set()
        unblock.wait()
        buffer[:] = frame_of(66)
        yield buffer
        assert engine.input_buffer().shape == buffer.shape

    with backend.open() as engine:
        with monkeypatch.context() as limits:
            shorten(limits, "READER_WAIT_S", 0.05)
            for _ in engine.stream(source()):
                assert written.wait(20)
                break
            for _ in range(2):
                with pytest.raises(EngineBusyError, match="still has an input buffer of this session"):
                    engine.infer(frame_of(2))
        unblock.set()
        assert history(engine.infer(frame_of(3)).mask) == [1, 3]


def test_a_source_of_an_ended_stream_gets_memory_of_its_own(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    unblock, ended = threading.Event(), threading.Event()

    def source() -> Iterator[np.ndarray]:
        yield frame_of(1)
        unblock.wait()
        buffer = engine.input_buffer()
        buffer.fill(99)
        ended.set()
        yield buffer

    with backend.open() as engine:
        with monkeypatch.context() as limits:
            shorten(limits, "READER_WAIT_S", 0.05)
            for _ in engine.stream(source()):
                break
        mine = filled(engine, 2)
        unblock.set()
        assert ended.wait(20)
        assert np.array_equal(mine, frame_of(2))
        assert history(engine.infer(mine).mask) == [1, 2]


def test_closing_while_the_source_waits_for_a_slot(backend: Backend) -> None:
    engine = backend.open()
    ends: list[str] = []
    waiting = threading.Event()

    def source() -> Iterator[np.ndarray]:
        try:
            yield from camera(engine, 4)
            waiting.set()  # one result is taken and three frames are under way: there is no fifth slot
            yield from camera(engine, 1)
        except EngineClosedError as error:
            ends.append(str(error))
            raise

    stream = engine.stream(source())
    next(stream)
    assert waiting.wait(20)
    engine.close()
    for call in (lambda: next(stream), engine.input_buffer):
        with pytest.raises(EngineClosedError, match="is closed"):
            call()
    assert len(ends) == 1
