"""The model in Triton's Python backend, with a backend of a few lines in place of Triton's."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest

from mostnet import ServerError
from mostnet.bench.gpu.standin.toy import frame_of, reference
from mostnet.contract.files import lock_folder
from mostnet.serve.triton import python_model
from mostnet.serve.triton.python_model import TritonPythonModel
from mostnet.serve.triton.repository import SETTINGS_KEY, ServerSettings
from tests.toy_graph import save_toy

ALL = ("enhanced", "flow", "mask", "finite")
LIMIT_S = 30.0


@dataclass(frozen=True)
class StubError:
    text: str
    code: str

    UNAVAILABLE, INVALID_ARG, INTERNAL = "UNAVAILABLE", "INVALID_ARG", "INTERNAL"


class StubRequest:
    """A request; ``flags`` are 1 for START and 2 for END."""

    def __init__(self, camera: int, picture: np.ndarray, flags: int, outputs: Sequence[str] = ALL) -> None:
        self.answers: SimpleQueue[tuple[Any, Any]] = SimpleQueue()
        self.picture = picture
        self.correlation_id = lambda: camera
        self.flags = lambda: flags
        self.requested_output_names = lambda: set(outputs)
        self.is_cancelled = lambda: False

    def get_response_sender(self) -> StubRequest:
        return self

    def send(self, response: tuple[Any, Any], flags: int) -> None:
        assert flags == 4711
        self.answers.put(response)


def backend() -> types.ModuleType:
    module: Any = types.ModuleType("triton_python_backend_utils")
    module.TritonError = StubError
    module.TRITONSERVER_RESPONSE_COMPLETE_FINAL = 4711
    module.Tensor = lambda name, array: (name, array)
    module.InferenceResponse = lambda tensors, error: (dict(tensors), error)
    module.get_input_tensor_by_name = lambda request, name: types.SimpleNamespace(as_numpy=lambda: request.picture)
    return module


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerSettings:
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend())
    monkeypatch.setattr(python_model, "_end_with_the_server", lambda server, memory: None)
    engine = str(save_toy(tmp_path / "toy.onnx"))
    (tmp_path / "lock").mkdir()
    return ServerSettings(
        engine=engine,
        cameras=2,
        idle_s=100.0,
        threads=1,
        at_once=1,
        prefix=sys.prefix,
        memory="mostnet-triton-0",
        lock=str(tmp_path / "lock"),
    )


def arguments(settings: ServerSettings) -> dict[str, str]:
    return {"model_config": json.dumps({"parameters": {SETTINGS_KEY: {"string_value": settings.to_json()}}})}


@pytest.fixture
def model(settings: ServerSettings) -> Iterator[TritonPythonModel]:
    made = TritonPythonModel()
    made.initialize(arguments(settings))
    yield made
    made.finalize()


def ask(model: TritonPythonModel, *request: Any) -> tuple[dict[str, np.ndarray], StubError | None]:
    """The tensors, or the error, of one request."""
    sent = StubRequest(*request)
    model.execute([sent])
    tensors, error = sent.answers.get(timeout=LIMIT_S)
    assert sent.answers.empty()
    return tensors, error


def test_frames_are_answered_with_the_batch_axis(model: TritonPythonModel) -> None:
    found = [ask(model, 7, frame_of(number)[None], number == 1) for number in (1, 2)]
    for (tensors, error), wanted in zip(found, reference([frame_of(1), frame_of(2)]), strict=True):
        assert error is None
        assert set(tensors) == set(ALL)
        for name in ALL:
            assert np.array_equal(tensors[name][0], wanted[name]), name
        assert tensors["finite"].shape == (1,) and tensors["finite"].dtype == bool


def test_only_the_outputs_that_are_wanted_are_made(model: TritonPythonModel) -> None:
    assert set(ask(model, 7, frame_of(1)[None], 1, ["mask"])[0]) == {"mask"}
    assert set(ask(model, 7, frame_of(1)[None], 0, ["finite", "flow"])[0]) == {"finite", "flow"}


def test_an_end_that_wants_only_finite_does_not_run(model: TritonPythonModel) -> None:
    ask(model, 7, frame_of(1)[None], 1)
    before = model._engine.stats.frames
    tensors, error = ask(model, 7, frame_of(250)[None], 2, ["finite"])
    assert error is None
    assert tensors["finite"].tolist() == [True]
    assert model._engine.stats.frames == before
    assert ask(model, 8, frame_of(250)[None], 1, ["finite"])[0]["finite"].tolist() == [False]


def test_errors_have_the_codes_that_clients_know(model: TritonPythonModel, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(model, 7, frame_of(1)[None], 1)
    ask(model, 8, frame_of(1)[None], 1)
    errors = [
        ask(model, 9, frame_of(1)[None], 1)[1],
        ask(model, 9, frame_of(1)[None], 0)[1],
        ask(model, 7, np.zeros((1, 3, 3, 3), np.uint8), 0)[1],
    ]
    monkeypatch.setattr(model._engine, "infer", lambda frame: 1 / 0)
    errors.append(ask(model, 7, frame_of(1)[None], 0)[1])
    model._cameras.close()
    errors.append(ask(model, 7, frame_of(1)[None], 0)[1])
    told = [(error.code, error.text.partition(":")[0]) for error in errors if error is not None]
    assert told == [
        ("UNAVAILABLE", "busy"),
        ("INVALID_ARG", "lost"),
        ("INVALID_ARG", "frame"),
        ("INTERNAL", "engine"),
        ("UNAVAILABLE", "closed"),
    ]


def test_the_model_locks_its_folder_while_it_lives(model: TritonPythonModel, settings: ServerSettings) -> None:
    with pytest.raises(BlockingIOError):
        lock_folder(Path(settings.lock))


def test_another_python_is_refused(settings: ServerSettings) -> None:
    with pytest.raises(ServerError, match=f"expected the one in {settings.prefix}/other"):
        TritonPythonModel().initialize(arguments(replace(settings, prefix=f"{settings.prefix}/other")))
