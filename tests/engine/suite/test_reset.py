"""``reset``: the next frame submitted starts from zero state, and none before it."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.engine import Session
from tests.engine.backends import Backend, collect, every_stage
from tests.toy_graph import assert_reference

FRAMES = [frame_of(number) for number in range(12)]


def test_the_next_frame_starts_from_zero_and_numbers_go_on(backend: Backend) -> None:
    with backend.open() as engine:
        for frame in FRAMES[:4]:
            engine.infer(frame)
        engine.reset()
        engine.reset()
        outputs = [engine.infer(frame) for frame in FRAMES[4:]]
        assert engine.stats.resets == 2
    assert_reference(outputs, FRAMES[4:])
    assert outputs[0].frame_id == 4


def test_reset_before_the_first_frame(backend: Backend) -> None:
    with backend.open() as engine:
        engine.reset()
        assert_reference(map(engine.infer, FRAMES), FRAMES)


@pytest.mark.parametrize("slots", [2, 3])
def test_reset_in_a_stream_is_for_the_next_frame_of_the_source(backend: Backend, slots: int) -> None:
    with backend.open(slots=slots) as engine:
        outputs = list(engine.stream(resetting(engine, at=7)))
    assert_reference(outputs[:7], FRAMES[:7])
    assert_reference(outputs[7:], FRAMES[7:])


def test_reset_of_one_session_is_for_no_other(backend: Backend) -> None:
    with backend.open() as engine, engine.session() as other:
        for session in (engine, other):
            session.infer(FRAMES[1])
        engine.reset()
        assert history(other.infer(FRAMES[2]).mask) == [1, 2]
        assert history(engine.infer(FRAMES[2]).mask) == [2]
        assert (engine.stats.resets, other.stats.resets) == (1, 0)


@every_stage
def test_reset_outlives_the_frame_that_failed(backend: Backend, stage: str) -> None:
    with backend.open() as engine:
        engine.infer(FRAMES[1])
        engine.reset()
        backend.fail(stage)
        with pytest.raises(backend.error):
            engine.infer(FRAMES[2])
        assert history(engine.infer(FRAMES[3]).mask) == [3]


@every_stage
def test_reset_behind_a_failed_frame_is_not_lost(backend: Backend, stage: str) -> None:
    taken = threading.Event()

    def source() -> Iterator[np.ndarray]:
        yield from FRAMES[:6]
        assert taken.wait(20)
        with backend.hold():
            yield FRAMES[6]
            engine.reset()
            yield FRAMES[7]

    with backend.open() as engine:
        backend.fail(stage, after=6)
        outputs, error = collect(engine.stream(source()), taken=6, then=taken.set)
        assert_reference(outputs, FRAMES[:6])
        assert isinstance(error, backend.error)
        assert history(engine.infer(FRAMES[9]).mask) == [9]


def resetting(session: Session, *, at: int) -> Iterator[np.ndarray]:
    """All frames, with a reset before frame ``at``."""
    for number, frame in enumerate(FRAMES):
        if number == at:
            session.reset()
        yield frame
