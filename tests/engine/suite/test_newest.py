"""``stream(source, drop="oldest")`` works on the newest frame, on every backend. No test measures time."""

import gc
import threading
from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import SIZE_HW, frame_of, history
from mostnet.contract import EngineBusyError, EngineClosedError, EngineTimeoutError, FrameError
from mostnet.engine.streams.newest import NewestFrame
from tests.engine.backends import Backend, collect, only, shorten

_PATIENCE_S = 20


class Camera:
    """Gives frames 0, 1, ... as ``(frame, number)`` when it is told to, and reuses one buffer."""

    def __init__(self) -> None:
        self.buffer = np.zeros((*SIZE_HW, 3), np.uint8)
        self.asked = threading.Semaphore(0)
        self.wanted = threading.Semaphore(0)
        self.closed_in = ""
        self.error: BaseException | None = None
        self.over = False

    def frames(self) -> Iterator[tuple[np.ndarray, int]]:
        try:
            for number in count():
                self.asked.release()
                assert self.wanted.acquire(timeout=_PATIENCE_S)
                if self.error is not None:
                    raise self.error
                if self.over:
                    return
                self.buffer[...] = frame_of(number % 200)
                yield self.buffer, number
        finally:
            self.closed_in = threading.current_thread().name

    def give(self, frames: int) -> None:
        """Give so many frames; each has been taken from the camera when this returns."""
        for _ in range(frames):
            assert self.asked.acquire(timeout=_PATIENCE_S)
            self.wanted.release()
        assert self.asked.acquire(timeout=_PATIENCE_S)
        self.asked.release()

    def end(self, error: BaseException | None = None) -> None:
        """End, or fail."""
        self.error, self.over = error, True
        self.wanted.release()


def test_a_slow_engine_always_gets_the_newest_frame(backend: Backend) -> None:
    camera = Camera()
    outputs = []
    with backend.open() as engine:
        stream = engine.stream(camera.frames(), drop="oldest")
        for _ in range(10):
            with backend.hold() as reached:
                feeder = threading.Thread(target=lambda: (camera.give(1), reached.wait(_PATIENCE_S), camera.give(9)))
                feeder.start()
                taker = threading.Thread(target=lambda: outputs.append(next(stream)))
                taker.start()
                feeder.join()
            taker.join()
            outputs.append(next(stream))
        camera.end()
        assert list(stream) == []
        stats = engine.stats
    numbers = [output.timestamp for output in outputs]
    # Of each ten frames, the first finds the engine idle; the last has taken the place of the others by its end.
    assert numbers == [number for start in range(0, 100, 10) for number in (start, start + 9)]
    assert [output.frame_id for output in outputs] == list(range(20))
    assert (stats.frames, stats.dropped) == (20, 80)
    assert history(outputs[-1].mask) == numbers, "a dropped frame is no part of the state, and no copy was overwritten"


def test_a_fast_engine_drops_nothing(backend: Backend) -> None:
    camera = Camera()
    with backend.open() as engine:
        stream = engine.stream(camera.frames(), drop="oldest")
        for number in range(5):
            feeder = threading.Thread(target=camera.give, args=(1,))
            feeder.start()
            assert next(stream).timestamp == number
            feeder.join()
        camera.end()
        assert list(stream) == []
        assert engine.stats.dropped == 0


@pytest.mark.parametrize("results", ["owned", "borrowed"])
@only(lambda kind: "borrowed" in kind.lends)
def test_the_last_frame_always_runs(backend: Backend, results: str) -> None:
    with backend.open(results=results) as engine:
        numbers = [output.timestamp for output in engine.stream(((frame_of(n), n) for n in range(30)), drop="oldest")]
        assert numbers[-1] == 29 and numbers == sorted(numbers)
        assert engine.stats.dropped == 30 - len(numbers)
        assert history(engine.infer(frame_of(99)).mask) == [*numbers, 99]


def test_an_error_of_the_source_comes_after_the_newest_frame(backend: Backend) -> None:
    failure = OSError("cable out")

    def source() -> Iterator[np.ndarray]:
        yield frame_of(1)
        raise failure

    with backend.open() as engine:
        outputs, error = collect(engine.stream(source(), drop="oldest"))
        assert error is failure
        assert [history(output.mask) for output in outputs] == [[1]]
        assert history(engine.infer(frame_of(2)).mask) == [1, 2]


@pytest.mark.parametrize(
    ("frame", "text"), [(np.zeros((3, 3, 3), np.uint8), r"shape \(3, 3, 3\)"), ("a picture", "is a str, not a numpy")]
)
def test_a_frame_that_does_not_fit_ends_the_stream(backend: Backend, frame: object, text: str) -> None:
    with backend.open() as engine:
        outputs, error = collect(engine.stream(iter([frame_of(1), frame]), drop="oldest"))
        assert isinstance(error, FrameError)
        with pytest.raises(FrameError, match=text):
            raise error
        assert [history(output.mask) for output in outputs] == [[1]]


def test_a_failed_frame_ends_the_stream_and_leaves_the_state(backend: Backend) -> None:
    with backend.open() as engine:
        engine.infer(frame_of(1))
        backend.fail("execute")
        outputs, error = collect(engine.stream(iter([frame_of(2)]), drop="oldest"))
        assert outputs == [] and isinstance(error, backend.error)
        assert history(engine.infer(frame_of(3)).mask) == [1, 3]


def endless(camera: Camera) -> Iterator[tuple[np.ndarray, int]]:
    camera.wanted = threading.Semaphore(1 << 20)
    return camera.frames()


def test_leaving_the_loop_ends_the_threads_and_leaves_the_iterator(backend: Backend) -> None:
    camera = Camera()
    frames = endless(camera)
    with backend.open() as engine:
        before = threading.active_count()
        for output in engine.stream(frames, drop="oldest"):
            if output.frame_id == 3:
                break
        assert threading.active_count() == before
        assert camera.closed_in == "", "it was passed in"
        next(frames)
        engine.infer(frame_of(1))


def test_a_source_of_the_streams_own_is_closed(backend: Backend) -> None:
    camera = Camera()

    class Source:
        def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
            return endless(camera)

    with backend.open() as engine:
        next(engine.stream(Source(), drop="oldest"))
        gc.collect()
        assert camera.closed_in == "mostnet-source"


def test_closing_the_engine_ends_the_stream(backend: Backend) -> None:
    engine = backend.open()
    outputs, error = collect(engine.stream(endless(Camera()), drop="oldest"), taken=3, then=engine.close)
    assert len(outputs) == 3 and isinstance(error, EngineClosedError)


def test_the_source_may_close_the_engine(backend: Backend) -> None:
    engine = backend.open()

    def source() -> Iterator[np.ndarray]:
        yield frame_of(1)
        engine.close()
        yield frame_of(2)

    outputs, error = collect(engine.stream(source(), drop="oldest"))
    assert len(outputs) <= 1 and isinstance(error, EngineClosedError)


def test_an_interrupt_in_the_consumer(backend: Backend) -> None:
    def consume() -> None:
        for output in engine.stream(endless(Camera()), drop="oldest"):
            if output.frame_id == 3:
                raise KeyboardInterrupt

    with backend.open() as engine:
        before = threading.active_count()
        with pytest.raises(KeyboardInterrupt):
            consume()
        gc.collect()
        assert threading.active_count() == before
        engine.infer(frame_of(1))


def test_a_source_that_hangs_is_late_and_never_touches_the_session(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "READER_WAIT_S", 0.05)
    unblock, ended = threading.Event(), threading.Event()

    def camera() -> Iterator[np.ndarray]:
        try:
            yield frame_of(1)
            unblock.wait()
            yield frame_of(2)
        finally:
            ended.set()

    source = camera()
    with backend.open() as engine:
        stream = engine.stream(source, drop="oldest", timeout_ms=5000)
        assert history(next(stream).mask) == [1]
        late = engine.stream(iter([]), drop="oldest")
        with pytest.raises(EngineBusyError):
            next(late)
        stream.close()
        assert history(engine.infer(frame_of(3)).mask) == [1, 3]
        unblock.set()
        output = engine.infer(frame_of(4))
        assert (output.frame_id, history(output.mask), engine.stats.dropped) == (2, [1, 3, 4], 0)
    source_ended = ended.wait(0)
    assert not source_ended, "it was passed in, so it stays open"


def test_no_frame_in_time(backend: Backend) -> None:
    camera = Camera()
    with backend.open() as engine:
        with pytest.raises(EngineTimeoutError, match="gave no frame within 30 ms"):
            next(engine.stream(camera.frames(), drop="oldest", timeout_ms=30))
        camera.end()


def test_no_buffer_is_lent(backend: Backend) -> None:
    with backend.open() as engine:

        def source() -> Iterator[np.ndarray]:
            yield engine.input_buffer()

        with pytest.raises(EngineBusyError, match="lends no input buffer"):
            next(engine.stream(source(), drop="oldest"))


def test_what_cannot_be_dropped(backend: Backend) -> None:
    with backend.open() as engine:
        with pytest.raises(ValueError, match="unknown drop 'newest'; expected 'oldest'"):
            engine.stream([], drop="newest")
        with pytest.raises(ValueError, match=r"clip\.mp4: a file is no live source"):
            engine.stream("clip.mp4", drop="oldest")


def test_a_halt_before_the_first_frame_takes_none() -> None:
    newest = NewestFrame(iter([frame_of(1)]), SIZE_HW, lambda: None, owned=False)
    newest.halt()
    assert newest.take() is None
    newest.join(_PATIENCE_S)
