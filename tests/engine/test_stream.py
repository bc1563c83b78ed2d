"""``stream``: overlap, order, latency, and what reaches the caller when something fails."""

import re
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.contract import EngineBusyError, EngineTimeoutError, FrameError

from . import overlap
from .fake import collect, fake_session, frame_of, history


def test_stream_gives_what_infer_gives() -> None:
    session, lane = fake_session((0.2, 0.5, 0.2))
    frames = [frame_of(number) for number in range(40)]
    with session:
        alone = [session.infer(frame) for frame in frames]
        session.reset()
        streamed = list(session.stream((frame, index) for index, frame in enumerate(frames)))
    assert [history(output) for output in streamed] == [history(output) for output in alone]
    assert [output.frame_id for output in streamed] == list(range(40, 80))
    assert [output.timestamp for output in streamed] == list(range(40))
    for number, output in enumerate(streamed):
        assert (output.enhanced == number).all()
    assert lane.violations == []


def test_three_stages_overlap() -> None:
    """The stages of three frames in a row stand in one barrier: none gets on before all three are at work."""
    session, lane = fake_session()
    count, barrier = 40, threading.Barrier(3, timeout=20)
    lead = {"upload": 2, "execute": 1, "download": 0}

    def meet(stage: str, number: int) -> None:
        if lead[stage] <= number < count - 2 + lead[stage]:
            barrier.wait()

    lane.meet = meet
    with session:
        outputs, error = collect(session.stream(frame_of(number) for number in range(count)))
    assert error is None, "a stage waited in vain for the other two"
    assert history(outputs[-1])[-3:] == [count - 3, count - 2, count - 1]


def test_a_result_does_not_wait_for_the_next_frame() -> None:
    session, _ = fake_session()
    seen = threading.Semaphore(0)

    def camera() -> Iterator[np.ndarray]:
        for number in range(15):
            yield frame_of(number)
            assert seen.acquire(timeout=20), f"no result of frame {number} before the next was given"

    with session:
        for output in session.stream(camera()):
            assert history(output)[-1] == output.frame_id
            seen.release()
        assert session.stats.frames == 15


@pytest.mark.parametrize("slots", [2, 3, 5])
def test_a_slow_consumer_holds_the_source_back(slots: int) -> None:
    session, lane = fake_session(slots=slots)
    read = 0

    def source() -> Iterator[np.ndarray]:
        nonlocal read
        for number in range(20):
            read += 1
            yield frame_of(number)

    with session:
        for taken, output in enumerate(session.stream(source()), start=1):
            deadline_s = time.perf_counter() + 20
            while read < min(20, taken + slots) and time.perf_counter() < deadline_s:
                time.sleep(0.001)
            assert output.enhanced[0, 0, 0] == taken - 1
            assert read <= taken + slots + 1  # one more is in the reader's hand
    assert lane.most_in_flight == slots
    assert lane.violations == []


def test_a_source_that_reuses_its_buffer() -> None:
    session, lane = fake_session((3, 1, 1))
    buffer = frame_of(0)

    def camera() -> Iterator[np.ndarray]:
        for number in range(30):
            buffer.fill(number)
            yield buffer

    with session:
        outputs = list(session.stream(camera()))
        buffer.fill(99)
    assert [int(output.enhanced[9, 9, 2]) for output in outputs] == list(range(30))
    assert lane.violations == []


def test_outputs_belong_to_the_caller() -> None:
    session, _ = fake_session()
    with session:
        outputs = list(session.stream(frame_of(number) for number in range(12)))
        assert [int(output.enhanced.min()) for output in outputs] == list(range(12))
        addresses = {output.enhanced.ctypes.data for output in outputs}
        assert len(addresses) == 12


def test_an_error_of_the_source_comes_after_its_frames() -> None:
    session, _ = fake_session((0, 5, 0))
    failure = OSError("cable out")

    def source() -> Iterator[np.ndarray]:
        for number in range(5):
            yield frame_of(number)
        raise failure

    with session:
        for round_ in range(2):
            outputs, error = collect(session.stream(source()))
            assert error is failure
            assert [output.frame_id for output in outputs] == [*range(5 * round_, 5 * round_ + 5)]
        assert history(session.infer(frame_of(9))) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 9]


def test_a_source_that_is_no_source() -> None:
    session, _ = fake_session()
    with session:
        with pytest.raises(TypeError, match="not iterable"):
            session.stream(7)
        with pytest.raises(FrameError, match=r"shape \(64, 3\)"):
            next(session.stream(frame_of(1)))
        assert list(session.stream([])) == []


@pytest.mark.parametrize("stage", ["upload", "execute", "download"])
@pytest.mark.parametrize("delays_ms", [(0, 0, 0), (0, 0, 8), (8, 0, 0), (0, 8, 0), (1, 2, 8)])
@pytest.mark.parametrize("slots", [2, 3, 4])
def test_a_failure_takes_back_its_frame_and_all_behind_it(
    stage: str, delays_ms: tuple[float, float, float], slots: int
) -> None:
    session, lane = fake_session(delays_ms, slots=slots)
    failure = RuntimeError("the device is on fire")
    lane.failures[stage, 6] = failure
    with session:
        outputs, error = collect(session.stream(frame_of(number) for number in range(20)))
        assert error is failure
        assert [int(output.enhanced[0, 0, 0]) for output in outputs] == [0, 1, 2, 3, 4, 5]
        assert history(session.infer(frame_of(77))) == [0, 1, 2, 3, 4, 5, 77]
        assert history(list(session.stream([frame_of(78), frame_of(79)]))[-1]) == [0, 1, 2, 3, 4, 5, 77, 78, 79]
    assert lane.violations == []


def test_a_refused_frame_in_mid_stream() -> None:
    session, _ = fake_session((0, 3, 0))
    frames = [frame_of(0), frame_of(1), frame_of(2)[:10], frame_of(3)]
    with session:
        outputs, error = collect(session.stream(frames))
        assert isinstance(error, FrameError)
        assert "shape (10, 64, 3)" in str(error)
        assert len(outputs) == 2
        output = session.infer(frame_of(4))
        assert (history(output), output.frame_id) == ([0, 1, 4], 2)


@pytest.mark.parametrize("delays_ms", [(0, 0, 0), (8, 1, 1), (1, 8, 1), (1, 1, 8)])
def test_reset_in_mid_stream_is_for_the_next_frame_submitted(delays_ms: tuple[float, float, float]) -> None:
    session, lane = fake_session(delays_ms)

    def source() -> Iterator[np.ndarray]:
        for number in range(10):
            if number == 5:
                session.reset()
            yield frame_of(number)

    with session:
        histories = [history(output) for output in session.stream(source())]
    assert histories[4:7] == [[0, 1, 2, 3, 4], [5], [5, 6]]
    computing = [(stage, slot, number) for stage, slot, number in lane.log if stage in ("clear", "execute")]
    assert computing[4:7] == [("execute", 1, 4), ("clear", 1, -1), ("execute", 2, 5)]


def test_a_reset_behind_a_failed_frame_is_not_lost() -> None:
    session, lane = fake_session((0, 0, 10))
    lane.failures["download", 3] = RuntimeError("once")

    def source() -> Iterator[np.ndarray]:
        for number in range(5):
            if number == 4:
                session.reset()
            yield frame_of(number)

    with session:
        with pytest.raises(RuntimeError, match="once"):
            list(session.stream(source()))
        assert history(session.infer(frame_of(9))) == [9]


def test_a_session_is_busy_while_its_stream_is_not_finished() -> None:
    session, _ = fake_session()
    with session:
        stream = session.stream(frame_of(number) for number in range(9))
        next(stream)
        with pytest.raises(EngineBusyError, match=r"a stream\(\) of it is not finished"):
            session.infer(frame_of(1))
        with pytest.raises(EngineBusyError):
            next(session.stream([frame_of(1)]))
        stream.close()
        session.infer(frame_of(1))


def test_stream_from_another_thread() -> None:
    session, _ = fake_session()
    outputs = []
    with session:
        session.infer(frame_of(0))
        thread = threading.Thread(target=lambda: outputs.extend(session.stream([frame_of(1), frame_of(2)])))
        thread.start()
        thread.join()
        assert history(outputs[-1]) == [0, 1, 2]
        assert history(session.infer(frame_of(3))) == [0, 1, 2, 3]


def test_a_stream_that_times_out_ends_and_the_next_call_waits() -> None:
    session, lane = fake_session()

    def source() -> Iterator[np.ndarray]:
        for number in range(8):
            if number == 4:
                lane.delays_ms["execute"] = 1500
            yield frame_of(number)
            time.sleep(0.01)

    with session:
        outputs, error = collect(session.stream(source(), timeout_ms=400))
        assert isinstance(error, EngineTimeoutError)
        assert re.match(r"frame 4 was not ready after \d+ ms \(timeout_ms is 400\)", str(error))
        with pytest.raises(EngineTimeoutError, match="are not done after another"):
            session.infer(frame_of(50), timeout_ms=10)
        lane.delays_ms["execute"] = 0
        late = session.infer(frame_of(60))
    assert len(outputs) == 4
    assert late.enhanced[0, 0, 0] == 60
    assert history(late)[:5] == [0, 1, 2, 3, 4]
    assert history(late) == [*lane.done("execute")[:-1], 60]
    assert lane.violations == []


def test_the_overlap_benchmark_runs(capsys: pytest.CaptureFixture[str]) -> None:
    overlap.main(frames=4)
    assert capsys.readouterr().out.count(" ms") == 2
