"""A frame that is refused or fails leaves no trace; its error reaches the caller as it is."""

from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import SIZE_HW, frame_of, history
from mostnet.contract import FrameError
from tests.engine.backends import Backend, collect, every_stage
from tests.toy_graph import assert_reference

FRAMES = [frame_of(number) for number in range(20)]


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ([1, 2], "frame is a list, not a numpy array"),
        (np.zeros((*SIZE_HW, 3), np.float32), "dtype float32"),
        (np.zeros((64, 32, 3), np.uint8), r"shape \(64, 32, 3\); expected uint8 BGR of shape \(64, 80, 3\)"),
    ],
)
def test_a_refused_frame_changes_nothing(backend: Backend, frame: object, text: str) -> None:
    with backend.open() as engine:
        engine.infer(FRAMES[0])
        with pytest.raises(FrameError, match=text):
            engine.infer(frame)
        output = engine.infer(FRAMES[1])
        assert (output.frame_id, history(output.mask)) == (1, [0, 1])
        engine.reset()
        with pytest.raises(FrameError, match=text):
            engine.infer(frame)
        assert history(engine.infer(FRAMES[2]).mask) == [2], "nor does it use up a reset"


def test_a_refused_frame_in_mid_stream(backend: Backend) -> None:
    with backend.open() as engine:
        outputs, error = collect(engine.stream([*FRAMES[:2], FRAMES[2][:10], FRAMES[3]]))
        assert isinstance(error, FrameError)
        assert "shape (10, 80, 3)" in str(error)
        assert_reference(outputs, FRAMES[:2])
        output = engine.infer(FRAMES[4])
        assert (output.frame_id, history(output.mask)) == (2, [0, 1, 4])


def test_what_is_no_source(backend: Backend) -> None:
    with backend.open() as engine:
        with pytest.raises(TypeError, match="not iterable"):
            engine.stream(7)
        with pytest.raises(FrameError, match=r"shape \(80, 3\)"):
            next(engine.stream(FRAMES[0]))
        assert list(engine.stream([])) == []


def test_an_error_of_the_source_comes_after_its_frames(backend: Backend) -> None:
    failure = OSError("cable out")

    def source() -> Iterator[np.ndarray]:
        yield from FRAMES[:5]
        raise failure

    with backend.open() as engine:
        for round_ in range(2):
            outputs, error = collect(engine.stream(source()))
            assert error is failure
            assert [output.frame_id for output in outputs] == list(range(5 * round_, 5 * round_ + 5))
        assert history(engine.infer(FRAMES[9]).mask) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 9]


@every_stage
def test_a_failed_frame_does_not_count(backend: Backend, stage: str) -> None:
    with backend.open() as engine:
        for frame in FRAMES[:4]:
            engine.infer(frame)
        for number in (4, 5):
            backend.fail(stage)
            with pytest.raises(backend.error):
                engine.infer(FRAMES[number])
        output = engine.infer(FRAMES[6])
        assert (output.frame_id, history(output.mask)) == (6, [0, 1, 2, 3, 6])
        assert engine.stats.frames == 5


@every_stage
@pytest.mark.parametrize("slots", [2, 3, 4])
def test_a_failure_takes_back_its_frame_and_all_behind_it(backend: Backend, stage: str, slots: int) -> None:
    with backend.open(slots=slots) as engine:
        backend.fail(stage, after=6)
        outputs, error = collect(engine.stream(FRAMES))
        assert isinstance(error, backend.error)
        assert_reference(outputs, FRAMES[:6])
        assert history(engine.infer(frame_of(77)).mask) == [0, 1, 2, 3, 4, 5, 77]
        last = list(engine.stream([frame_of(78), frame_of(79)]))[-1]
        assert history(last.mask) == [0, 1, 2, 3, 4, 5, 77, 78, 79]


@every_stage
def test_a_failure_in_one_session_is_none_in_another(backend: Backend, stage: str) -> None:
    with backend.open() as engine, engine.session() as other:
        for session in (engine, other):
            session.infer(FRAMES[0])
        backend.fail(stage)
        with pytest.raises(backend.error):
            engine.infer(FRAMES[1])
        for session in (engine, other):
            assert history(session.infer(FRAMES[2]).mask) == [0, 2]
