"""``warm_up`` runs the network, and leaves everything else as it is."""

import threading

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.contract import EngineBusyError, EngineClosedError
from tests.engine.backends import Backend, every_stage
from tests.toy_graph import assert_reference

FRAMES = [frame_of(number) for number in range(1, 9)]


def test_it_changes_no_result_number_or_count(backend: Backend) -> None:
    with backend.open() as engine:
        outputs = []
        for frame in FRAMES:
            engine.warm_up()
            outputs.append(engine.infer(frame))
        engine.warm_up()
        outputs += engine.stream(FRAMES)
        assert_reference(outputs, FRAMES * 2)
        assert [output.frame_id for output in outputs] == list(range(16))
        assert (engine.stats.frames, engine.stats.resets, engine.stats.heals) == (16, 0, 0)


def test_it_leaves_a_requested_reset_for_the_next_frame(backend: Backend) -> None:
    with backend.open() as engine:
        engine.infer(FRAMES[0])
        engine.reset()
        engine.warm_up()
        assert history(engine.infer(FRAMES[1]).mask) == [2]


def test_it_leaves_a_lent_buffer(backend: Backend) -> None:
    with backend.open() as engine:
        buffer = engine.input_buffer()
        buffer[...] = FRAMES[4]
        engine.warm_up()
        assert np.array_equal(buffer, FRAMES[4])
        assert history(engine.infer(buffer).mask) == [5]


@every_stage
def test_a_failure_leaves_the_state(backend: Backend, stage: str) -> None:
    with backend.open() as engine:
        engine.infer(FRAMES[0])
        backend.fail(stage)
        with pytest.raises(backend.error):
            engine.warm_up()
        output = engine.infer(FRAMES[1])
        assert (output.frame_id, history(output.mask)) == (1, [1, 2])


def test_it_is_refused_while_another_call_uses_the_session(backend: Backend) -> None:
    with backend.open() as engine:
        stream = engine.stream(FRAMES)
        next(stream)
        with pytest.raises(EngineBusyError, match="this session is in use"):
            engine.warm_up()
        stream.close()
    with pytest.raises(EngineClosedError):
        engine.warm_up()


def test_another_thread_may_warm_up(backend: Backend) -> None:
    with backend.open() as engine:
        thread = threading.Thread(target=engine.warm_up)
        thread.start()
        thread.join()
        assert history(engine.infer(FRAMES[0]).mask) == [1]
