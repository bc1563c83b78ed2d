"""The state goes from each frame to the next, whichever way frames are handed in."""

import logging
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import METADATA, NAN, frame_of, history
from mostnet.engine import Output
from tests.engine.backends import Backend
from tests.toy_graph import assert_reference

FRAMES = [frame_of(number) for number in range(40)]


@pytest.mark.parametrize("slots", [2, 3, 5])
def test_infer_is_the_reference(backend: Backend, slots: int) -> None:
    with backend.open(slots=slots) as engine:
        outputs = [engine.infer(frame, timestamp=f"t{number}") for number, frame in enumerate(FRAMES[:12])]
        assert engine.metadata.size_hw == METADATA.size_hw
    assert_reference(outputs, FRAMES[:12])
    assert [output.frame_id for output in outputs] == list(range(12))
    assert [output.timestamp for output in outputs] == [f"t{number}" for number in range(12)]
    assert history(outputs[-1].mask) == list(range(12))


@pytest.mark.parametrize("slots", [2, 3, 5])
def test_stream_is_the_reference(backend: Backend, slots: int) -> None:
    with backend.open(slots=slots) as engine:
        first = list(engine.stream(FRAMES))
        engine.reset()
        second = list(engine.stream((frame, -number) for number, frame in enumerate(FRAMES)))
    for outputs in (first, second):
        assert_reference(outputs, FRAMES)
    assert [output.frame_id for output in first + second] == list(range(80))
    assert [output.timestamp for output in first] == [None] * 40
    assert [output.timestamp for output in second] == [-number for number in range(40)]


def test_infer_and_streams_of_any_thread_share_the_state(backend: Backend) -> None:
    with backend.open() as engine:
        outputs = [engine.infer(frame) for frame in FRAMES[:5]]
        thread = threading.Thread(target=lambda: outputs.extend(engine.stream(FRAMES[5:20])))
        thread.start()
        thread.join()
        outputs += engine.stream(FRAMES[20:39])
        outputs.append(engine.infer(FRAMES[39]))
    assert_reference(outputs, FRAMES)


def test_sessions_have_a_state_each(backend: Backend) -> None:
    left, right = FRAMES[:15], FRAMES[20:35]
    with backend.open() as engine, engine.session() as other:
        pairs = [(engine.infer(a), other.infer(b)) for a, b in zip(left, right, strict=True)]
        assert_reference([pair[0] for pair in pairs], left)
        assert_reference([pair[1] for pair in pairs], right)
        engine.reset()
        outputs: list[Output] = []
        thread = threading.Thread(target=lambda: outputs.extend(engine.stream(left)))
        thread.start()
        other.reset()
        streamed = list(other.stream(right))
        thread.join()
        assert_reference(outputs, left)
        assert_reference(streamed, right)
        assert (engine.stats.frames, other.stats.frames) == (30, 30)


def test_frames_of_any_memory_layout(backend: Backend) -> None:
    frames = [np.ascontiguousarray(frame[::-1])[::-1] for frame in FRAMES[:4]]
    assert not frames[0].flags.c_contiguous
    with backend.open() as engine:
        assert_reference(map(engine.infer, frames), FRAMES[:4])


def test_a_source_may_reuse_its_frame(backend: Backend) -> None:
    frame = np.zeros_like(FRAMES[0])

    def source() -> Iterator[np.ndarray]:
        for picture in FRAMES:
            frame[:] = picture
            yield frame
        frame.fill(99)

    with backend.open() as engine:
        assert_reference(engine.stream(source()), FRAMES)


@pytest.mark.parametrize("call", ["infer", "stream"])
def test_frames_that_are_not_finite_are_counted_and_the_first_is_logged(
    backend: Backend, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    frames = [frame_of(number) for number in (1, NAN, 2, NAN)]
    with backend.open() as engine, caplog.at_level(logging.WARNING, "mostnet"):
        outputs = [engine.infer(frame) for frame in frames] if call == "infer" else list(engine.stream(frames))
        assert engine.stats.heals == 2
    assert [output.finite for output in outputs] == [True, False, True, False]
    assert [record.getMessage().split(" and")[0] for record in caplog.records] == ["frame 1 came out NaN or infinite"]


def test_the_stages_and_the_rest_make_up_the_latency(backend: Backend) -> None:
    with backend.open() as engine:
        outputs = [engine.infer(frame) for frame in FRAMES[:5]]
        stats = engine.stats
    assert stats.frames == 5
    stages_ms = (stats.copy_in_ms, stats.compute_ms, stats.copy_out_ms)
    assert min(stages_ms) >= 0
    assert sum(stages_ms) + stats.host_ms == pytest.approx(np.mean([output.latency_ms for output in outputs]))
