"""``input_buffer``: when a frame is copied and when not, whose the memory is at what time, and who may ask."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mostnet.contract import DeviceError, EngineBusyError, EngineClosedError, EngineTimeoutError, FrameError
from mostnet.engine import Engine, Session, pipeline
from mostnet.engine.ring import Ring

from .fake import SIZE_HW, collect, fake_session, frame_of, history
from .fake_tensorrt import history as plan_history
from .plan_setup import Machine, machine_of
from .toy_graph import save_toy

STALE = "input buffer whose time is over"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path) as made:
        yield made


def filled(session: Session, number: int) -> np.ndarray:
    """A buffer that a camera has written."""
    buffer = session.input_buffer()
    buffer.fill(number)
    return buffer


def camera(session: Session, count: int) -> Iterator[np.ndarray]:
    """What the documentation tells the owner of a camera to write."""
    for number in range(count):
        yield filled(session, number)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the frames that were copied into a slot."""
    seen: list[int] = []
    submit = Ring.submit

    def noted(ring: Ring, frame: np.ndarray | None, *rest: object) -> object:
        if frame is not None:
            seen.append(int(frame[0, 0, 0]))
        return submit(ring, frame, *rest)

    monkeypatch.setattr(Ring, "submit", noted)
    return seen


def test_a_buffer_is_not_copied_and_any_other_frame_is(machine: Machine, copies: list[int]) -> None:
    with machine.open() as engine:
        seen = []
        for number in range(12):
            frame = frame_of(number) if number % 3 == 2 else filled(engine, number)
            seen.append(engine.infer(frame))
        assert copies == [2, 5, 8, 11]
    assert plan_history(seen[-1].mask) == list(range(12))
    assert [int(output.enhanced[0, 0, 0]) for output in seen] == list(range(12))


def test_the_buffer_is_the_pinned_memory_that_is_uploaded(machine: Machine) -> None:
    with machine.open() as engine:
        starts = set()
        for number in range(6):
            buffer = filled(engine, number)
            assert (buffer.shape, buffer.dtype, buffer.flags.c_contiguous) == ((*SIZE_HW, 3), np.uint8, True)
            assert engine.input_buffer() is buffer, "asked twice, it is the same"
            starts.add(buffer.ctypes.data)
            engine.infer(buffer)
        assert len(starts) == 3
        lane = engine._ring._lane
        assert starts == {blocks.host_frame.ctypes.data for blocks in lane._blocks}


def test_views_of_the_buffer_that_are_another_picture_are_copied(machine: Machine) -> None:
    with machine.open() as engine:
        buffer = engine.input_buffer()
        buffer[:32], buffer[32:] = 1, 9
        buffer[:] = buffer[::-1].copy()
        assert int(buffer[0, 0, 0]) == 9
        buffer.fill(7)
        assert plan_history(engine.infer(buffer[:]).mask) == [7], "a view of all of it is the buffer"
        buffer = filled(engine, 8)
        assert plan_history(engine.infer(buffer[::-1]).mask) == [7, 8]


@pytest.mark.parametrize("later", range(1, 8))
def test_a_buffer_whose_time_is_over_is_refused(machine: Machine, later: int) -> None:
    with machine.open() as engine:
        buffer = filled(engine, 200)
        for number in range(later):
            engine.infer(frame_of(number))
        with pytest.raises(FrameError, match=STALE):
            engine.infer(buffer)
        output = engine.infer(frame_of(later))
        assert output.frame_id == later, "a refused frame has no number"
        assert plan_history(output.mask) == list(range(later + 1))


def test_a_buffer_that_was_handed_in_is_the_engines_again(machine: Machine) -> None:
    with machine.open() as engine:
        buffer = filled(engine, 1)
        engine.infer(buffer)
        with pytest.raises(FrameError, match=STALE):
            engine.infer(buffer)
        other = filled(engine, 2)
        with pytest.raises(FrameError, match=STALE):
            engine.infer(buffer)
        assert plan_history(engine.infer(other).mask) == [1, 2], "the loan outlives a refused frame"


def test_a_frame_that_fails_takes_its_buffer_with_it(machine: Machine) -> None:
    with machine.open() as engine:
        machine.gpu.failures["cuGraphLaunch"] = (0, machine.driver.LogicError("odd failed"))
        buffer = filled(engine, 1)
        with pytest.raises(DeviceError, match="cuGraphLaunch failed"):
            engine.infer(buffer)
        with pytest.raises(FrameError, match=STALE):
            engine.infer(buffer)
        assert plan_history(engine.infer(filled(engine, 2)).mask) == [2]


def test_the_buffer_of_one_session_is_an_array_to_another(machine: Machine, copies: list[int]) -> None:
    with machine.open() as engine, engine.session() as other:
        buffer = filled(engine, 3)
        other.infer(other.input_buffer())
        assert plan_history(other.infer(buffer).mask)[-1] == 3
        assert copies == [3]
        assert plan_history(engine.infer(buffer).mask) == [3]
        assert copies == [3]


@pytest.mark.parametrize("slots", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_a_camera_writes_into_the_slots(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copies: list[int], seed: int, slots: int
) -> None:
    with machine_of(monkeypatch, tmp_path, seed=seed) as machine, machine.open(slots=slots) as engine:
        for clip in range(3):
            outputs = list(engine.stream(camera(engine, 40)))
            assert [int(output.enhanced[5, 5, 1]) for output in outputs] == list(range(40)), clip
    assert copies == []


def test_a_slow_consumer_holds_the_camera_back() -> None:
    session, lane = fake_session()
    asked = []

    def source() -> Iterator[np.ndarray]:
        for number in range(8):
            asked.append(number)
            yield filled(session, number)

    with session:
        for taken, output in enumerate(session.stream(source())):
            threading.Event().wait(0.02)
            assert history(output) == list(range(taken + 1))
            assert len(asked) <= taken + 1 + 4, "one buffer is waited for beside three frames"
    assert lane.violations == []
    assert lane.most_in_flight <= 3


def test_frames_and_buffers_mixed_in_a_stream() -> None:
    session, lane = fake_session((0, 1, 0))

    def source() -> Iterator[np.ndarray]:
        for number in range(60):
            if number % 4 == 1:
                filled(session, 99)  # asked for and not used: the frame overwrites it
            yield frame_of(number) if number % 2 else filled(session, number)

    with session:
        outputs = list(session.stream(source()))
    assert history(outputs[-1]) == list(range(60))[-24:]
    assert lane.violations == []


def test_a_stale_buffer_ends_the_stream_after_the_frames_before_it() -> None:
    session, _ = fake_session()

    def source() -> Iterator[np.ndarray]:
        buffer = filled(session, 1)
        yield buffer
        yield buffer

    with session:
        outputs, error = collect(session.stream(source()))
        assert [history(output) for output in outputs] == [[1]]
        assert isinstance(error, FrameError)
        assert history(session.infer(filled(session, 2))) == [1, 2]


def test_the_source_may_wait_no_longer_than_it_says() -> None:
    session, _ = fake_session()
    full, waits = threading.Event(), []

    def source() -> Iterator[np.ndarray]:
        for number in range(9):
            try:
                buffer = session.input_buffer(timeout_ms=20)
            except EngineTimeoutError as error:
                waits.append(str(error))
                full.set()
                buffer = session.input_buffer()
            buffer.fill(number)
            yield buffer

    with session:
        stream = session.stream(source())
        first = next(stream)
        assert full.wait(5)
        assert [history(first), *map(history, stream)][-1] == list(range(9))
    assert waits[0].startswith("no slot was free for an input buffer within 20 ms")


def test_only_the_source_of_a_running_stream_gets_one() -> None:
    session, _ = fake_session()
    with session:
        stream = session.stream([frame_of(number) for number in range(5)])
        next(stream)
        with pytest.raises(EngineBusyError, match="a stream\\(\\) of it is not finished"):
            session.input_buffer()
        stream.close()
        session.input_buffer()


def test_a_source_that_outlives_its_stream_goes_on_in_the_next() -> None:
    session, lane = fake_session()
    with session:
        numbers = camera(session, 30)
        for _ in session.stream(numbers):
            break
        rest = list(session.stream(numbers))
        assert 30 - 1 - 4 <= len(rest) <= 30 - 1
        assert [history(output)[-1] for output in rest] == list(range(30 - len(rest), 30))
    assert lane.violations == []


def test_a_blocked_source_keeps_its_buffer_and_no_frame_comes_near_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "READER_WAIT_S", 0.05)
    session, _ = fake_session()
    unblock, written = threading.Event(), threading.Event()

    def source() -> Iterator[np.ndarray]:
        yield frame_of(1)
        buffer = session.input_buffer()
        written.set()
        unblock.wait()
        buffer.fill(66)
        yield buffer
        assert session.input_buffer().shape == buffer.shape

    with session:
        for _ in session.stream(source()):
            assert written.wait(5)
            break
        for _ in range(2):
            with pytest.raises(EngineBusyError, match="still has an input buffer of this session"):
                session.infer(frame_of(2))
        unblock.set()
        monkeypatch.undo()
        assert history(session.infer(frame_of(3))) == [1, 3]


def test_a_source_of_an_ended_stream_gets_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "READER_WAIT_S", 0.05)
    session, lane = fake_session()
    unblock, ended = threading.Event(), threading.Event()
    slots = [lane.host_input(slot) for slot in range(3)]

    def source() -> Iterator[np.ndarray]:
        yield frame_of(1)
        unblock.wait()
        buffer = session.input_buffer()
        assert not any(np.may_share_memory(buffer, slot) for slot in slots)
        ended.set()
        yield buffer

    with session:
        for _ in session.stream(source()):
            break
        mine = filled(session, 2)
        unblock.set()
        assert ended.wait(5)
        assert history(session.infer(mine)) == [1, 2]


def test_closing_while_the_source_waits_for_a_slot(machine: Machine) -> None:
    engine = machine.open()
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
    assert waiting.wait(5)
    engine.close()
    with pytest.raises(EngineClosedError, match="is closed"):
        next(stream)
    assert len(ends) == 1
    with pytest.raises(EngineClosedError, match="is closed"):
        engine.input_buffer()
    del stream
    gc.collect()


def test_the_memory_outlives_the_engine(machine: Machine) -> None:
    with machine.open() as engine:
        buffer = filled(engine, 5)
    assert machine.gpu.alive == {**machine.gpu.alive, "device memory": 0, "pinned memory": 1, "context": 0}
    buffer.fill(6)
    part = buffer[3:5]
    del buffer
    assert machine.gpu.alive["pinned memory"] == 1
    del part
    assert machine.gpu.alive["pinned memory"] == 0


def test_on_the_cpu(tmp_path: Path, copies: list[int]) -> None:
    toy = save_toy(tmp_path / "toy.onnx")
    with Engine(toy, provider="cpu") as copied, Engine(toy, provider="cpu") as lent:
        size_hw = lent.metadata.size_hw
        for number in range(7):
            frame = np.random.default_rng(number).integers(0, 256, (*size_hw, 3), np.uint8)
            buffer = lent.input_buffer()
            buffer[:] = frame
            assert np.array_equal(lent.infer(buffer).enhanced, copied.infer(frame).enhanced)
        assert len(copies) == 7, "those of the other engine"
