"""``stream``: overlap, order, latency, and what reaches the caller when something fails."""

import re
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.contract import EngineBusyError, EngineTimeoutError, FrameError

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
    def serial_and_streamed_s() -> tuple[float, float]:
        session, _ = fake_session((10, 10, 10))
        frames = [frame_of(number) for number in range(100)]
        with session:
            begun_s = time.perf_counter()
            for frame in frames[:30]:
                session.infer(frame)
            serial_s = (time.perf_counter() - begun_s) / 30
            begun_s = time.perf_counter()
            assert sum(1 for _ in session.stream(frames)) == 100
            return serial_s, (time.perf_counter() - begun_s) / 100

    ratios = []
    for _ in range(4):
        serial_s, streamed_s = serial_and_streamed_s()
        ratios.append(serial_s / streamed_s)
        if ratios[-1] >= 2.7:
            return
    pytest.fail(f"stream is only {max(ratios):.2f} times as fast as a serial loop, of {ratios}")


def test_a_paced_source_gets_each_result_before_its_next_frame() -> None:
    session, _ = fake_session((3, 10, 2))
    asked_s: list[float] = []
    yielded_s: list[float] = []

    def camera() -> Iterator[np.ndarray]:
        for number in range(15):
            time.sleep(0.04)
            asked_s.append(time.perf_counter())
            yield frame_of(number)

    with session:
        latencies_ms = []
        for output in session.stream(camera()):
            yielded_s.append(time.perf_counter())
            latencies_ms.append(output.latency_ms)
        split = session.stats
    assert all(yielded < following for yielded, following in zip(yielded_s, asked_s[1:], strict=False))
    stages_ms = split.copy_in_ms + split.compute_ms + split.copy_out_ms
    assert np.median(latencies_ms) <= stages_ms + 2
    waits_ms = (np.array(yielded_s) - asked_s) * 1e3
    assert np.median(waits_ms) <= stages_ms + 2


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
            time.sleep(0.005)
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
                lane.delays_ms["execute"] = 200
            yield frame_of(number)
            time.sleep(0.01)

    with session:
        outputs, error = collect(session.stream(source(), timeout_ms=40))
        assert isinstance(error, EngineTimeoutError)
        assert re.match(r"frame 4 was not ready after \d+ ms \(timeout_ms is 40\)", str(error))
        with pytest.raises(EngineTimeoutError, match="are not done after another"):
            session.infer(frame_of(50), timeout_ms=10)
        lane.delays_ms["execute"] = 0
        late = session.infer(frame_of(60))
    assert len(outputs) == 4
    assert late.enhanced[0, 0, 0] == 60
    assert history(late)[:5] == [0, 1, 2, 3, 4]
    assert history(late) == [*lane.done("execute")[:-1], 60]
    assert lane.violations == []
