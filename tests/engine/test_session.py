"""What an engine and a session tell of themselves, how they are called, and how they are copied."""

import copy
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest

from mostnet.bench.gpu.standin.toy import METADATA, SIZE_HW, frame_of, history
from mostnet.contract import OUTPUTS, EngineClosedError, EngineCopyError
from mostnet.engine import Engine
from tests.engine.backends import Backend, only
from tests.engine.plan_setup import Machine
from tests.toy_graph import save_toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime")
    return save_toy(tmp_path_factory.mktemp("engine") / "toy.onnx")


def test_what_they_tell(toy: Path) -> None:
    about = f"{METADATA.variant} {SIZE_HW[0]}x{SIZE_HW[1]} {METADATA.precision} on cpu"
    with Engine(toy, provider="cpu") as engine:
        assert (engine.path, engine.size_hw, engine.device, engine.closed) == (toy, SIZE_HW, None, False)
        assert engine.outputs == OUTPUTS
        second = engine.session()
        second.infer(frame_of(1))
        assert repr(engine) == f"<Engine toy.onnx: {about}, open, 0 frames>"
        assert repr(second) == f"<Session toy.onnx: {about}, open, 1 frame>"
    assert engine.closed and second.closed
    assert repr(second) == f"<Session toy.onnx: {about}, closed, 1 frame>"


def test_a_session_tells_the_outputs_that_were_asked_for(toy: Path) -> None:
    with Engine(toy, provider="cpu", outputs=["mask", "flow"]) as engine, engine.session() as second:
        assert engine.outputs == second.outputs == ("mask", "flow")


def test_a_plan_tells_its_gpu(machine: Machine) -> None:
    with machine.open() as engine:
        assert (engine.path, engine.device) == (machine.plan, 0)
        assert " on cuda:0, open, " in repr(engine)


def test_calling_it_is_infer(backend: Backend) -> None:
    with backend.open() as engine:
        assert engine(frame_of(1), 5).timestamp == 5
        assert engine.infer(frame_of(2), "two").timestamp == "two"
        output = engine(frame_of(3), timestamp=7, timeout_ms=10_000)
        assert (output.timestamp, output.frame_id, history(output.mask)) == (7, 2, [1, 2, 3])


def test_an_engine_is_pickled_as_path_and_options(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy.parent)
    with Engine("toy.onnx", provider="cpu", outputs=["mask"], slots=2, threads=1) as engine:
        engine.infer(frame_of(1))
        text = pickle.dumps(engine)
        monkeypatch.chdir("/")
        with pickle.loads(text) as again:
            assert (again.path, again.provider) == (toy, "cpu")
            output = again.infer(frame_of(2))
            assert (output.names, history(output.mask)) == (("mask",), [2])
            assert again.stats.frames == 1
    with pytest.raises(EngineClosedError):
        pickle.dumps(engine)


def _newest(engine: Engine, frame: np.ndarray) -> list[int]:
    with engine:
        return history(engine.infer(frame).mask)


def test_another_process_opens_it_again(toy: Path) -> None:
    with Engine(toy, provider="cpu") as engine, multiprocessing.get_context("spawn").Pool(1) as pool:
        engine.infer(frame_of(1))
        assert pool.apply(_newest, (engine, frame_of(2))) == [2]


@only(lambda kind: not kind.distant)  # a TritonSession has a text of its own
def test_what_is_not_copied(backend: Backend) -> None:
    with backend.open() as engine, engine.session() as second:
        for copied in (copy.copy, copy.deepcopy):
            with pytest.raises(
                EngineCopyError, match=r"^an Engine is not copied, .*; take engine\.session\(\) .*, or pickle"
            ):
                copied(engine)
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(
                EngineCopyError, match=r"^a Session has .* is neither copied nor pickled; .* pickle its Engine"
            ):
                copied(second)
        assert history(engine.infer(frame_of(1)).mask) == [1]


def test_a_forked_or_closed_session_is_closed(backend: Backend) -> None:
    engine = backend.open()
    assert not engine.closed
    engine._usage._pid -= 1  # as in a child
    assert engine.closed
    engine._usage._pid += 1
    engine.close()
    assert engine.closed
    with pytest.raises(EngineClosedError, match="is closed; open a new Engine"), engine:
        raise AssertionError
