"""A real Triton server reads the repository that ``mostnet-export --triton`` writes.

The wheel with the server has neither the ONNX Runtime backend nor the TensorRT backend. So one test sees that the
server misses nothing but those. In the others, a Python model takes the place of the graph: the configuration is ours
but for the name of the backend, and the server's scheduler hands over the states.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mostnet.bench.gpu.standin.toy import METADATA, frame_of
from mostnet.contract import BackendNotInstalledError, PlanInfo, sha256
from mostnet.export.triton.repository import ModelFiles, write_repository
from mostnet.serve.triton.process import ServerProcess, find_wheel, reason
from mostnet.serve.triton.repository import link_backend
from mostnet.serve.triton.server import _free_port

from ...toy_graph import save_toy

#: A model that says in ``mask`` which states came with a frame.
_MODEL = """\
import json

import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer({tensor.name(): tensor.as_numpy() for tensor in r.inputs()}) for r in requests]

    def _answer(self, tensors):
        frame = tensors.pop("frame")
        told = {name: [str(t.dtype), list(t.shape), bool((t == 0).all())] for name, t in tensors.items()}
        mask = np.zeros((1, *frame.shape[1:3]), np.uint8)
        text = json.dumps(told).encode()
        mask.ravel()[: len(text)] = np.frombuffer(text, np.uint8)
        flow = np.zeros((1, 2, *frame.shape[1:3]), np.float32)
        made = {"enhanced": frame, "flow": flow, "mask": mask, "finite": np.ones(1, bool)}
        return pb.InferenceResponse([pb.Tensor(name, value) for name, value in made.items()])
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    try:
        return find_wheel()
    except BackendNotInstalledError as error:
        if os.environ.get("MOSTNET_REQUIRE_TRITON") == "1":
            raise
        pytest.skip(str(error))


#: Seconds after which an idle camera loses its place.
LONG, SHORT = 60.0, 1.0


@pytest.fixture
def repository(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """With both backends, for two cameras. The plan is none, which the server does not get to see."""
    graph, plan = save_toy(tmp_path / "toy.onnx"), tmp_path / "toy.plan"
    plan.write_bytes(b"plan")
    values = {field.name: getattr(METADATA, field.name) for field in dataclasses.fields(METADATA)}
    info = PlanInfo(**values, plan_sha256=sha256(plan), flavour="tensorrt", tensorrt_version="10", targets=("sm_86",))
    (tmp_path / "toy.plan.json").write_text(info.to_json(), encoding="utf-8")
    write_repository(
        tmp_path / "repository", [ModelFiles(graph, plan)], cameras=2, idle_s=getattr(request, "param", LONG)
    )
    return tmp_path / "repository"


def complaint(wheel: Path, models: Path, log: Path) -> str:
    """Why the server does not load the one model."""
    options = [
        f"--model-repository={models}",
        "--allow-http=0",
        "--allow-metrics=0",
        f"--grpc-port={_free_port('127.0.0.1')}",
    ]
    server = ServerProcess(wheel, options, memory="mostnet-written", log=log)
    try:
        assert server.ended.wait(60), "the server runs, though it cannot load its model"
    finally:
        server.stop()
    return reason(log.read_text(encoding="utf-8", errors="replace"))


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt"])
def test_the_server_misses_only_the_backend(wheel: Path, repository: Path, tmp_path: Path, backend: str) -> None:
    found = complaint(wheel, repository / backend, tmp_path / "log")
    assert f"unable to find backend library for backend '{backend}'" in found
    config = repository / backend / "mostnet" / "config.pbtxt"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("max_candidate_sequences: 2", "preferred_batch_size: 2"), encoding="utf-8")
    assert "preferred batch size must be <= max batch" in complaint(wheel, repository / backend, tmp_path / "log")


class Cameras:
    """Requests to the server that a camera sends."""

    def __init__(self, port: int) -> None:
        import tritonclient.grpc

        self._grpc = tritonclient.grpc
        self._client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{port}")

    def wait_until_ready(self, server: ServerProcess) -> None:
        while not self._is_ready():
            assert not server.ended.wait(0.05), str(server.failure())

    def states(self, camera: int, *, start: bool = False, end: bool = False) -> dict[str, Any]:
        """The states that came with the frame: type, shape and whether all is zero, by name."""
        frame = self._grpc.InferInput("frame", [1, *METADATA.size_hw, 3], "UINT8")
        frame.set_data_from_numpy(frame_of(1)[None])
        answer = self._client.infer(
            "mostnet", [frame], sequence_id=camera, sequence_start=start, sequence_end=end, timeout=200_000
        )
        told: dict[str, Any] = json.loads(answer.as_numpy("mask").tobytes().rstrip(b"\0"))
        return told

    def has_place(self, camera: int) -> bool:
        try:
            return bool(self.states(camera, start=True))
        except self._grpc.InferenceServerException:
            return False

    def error(self, camera: int, *, start: bool = False) -> str:
        with pytest.raises(self._grpc.InferenceServerException) as caught:
            self.states(camera, start=start)
        return str(caught.value)

    def _is_ready(self) -> bool:
        try:
            return bool(self._client.is_model_ready("mostnet"))
        except self._grpc.InferenceServerException:
            return False


@pytest.fixture
def cameras(wheel: Path, repository: Path, tmp_path: Path) -> Iterator[Cameras]:
    """A server with the configuration of the ONNX Runtime backend and the Python model."""
    model = repository / "onnxruntime/mostnet"
    text = (model / "config.pbtxt").read_text(encoding="utf-8")
    assert text.count('backend: "onnxruntime"') == 1
    text = text.replace('backend: "onnxruntime"', 'backend: "python"')
    (model / "config.pbtxt").write_text(text, encoding="utf-8")
    (model / "1/model.py").write_text(_MODEL, encoding="utf-8")
    link_backend(wheel, tmp_path / "backends")
    port = _free_port("127.0.0.1")
    options = [f"--model-repository={repository / 'onnxruntime'}", f"--backend-directory={tmp_path / 'backends'}"]
    options += ["--allow-http=0", "--allow-metrics=0", f"--grpc-port={port}"]
    server = ServerProcess(wheel, options, memory=f"mostnet-written-{os.getpid()}", log=tmp_path / "log")
    try:
        asked = Cameras(port)
        asked.wait_until_ready(server)
        yield asked
    finally:
        server.stop()


def test_the_scheduler_carries_the_states_of_each_camera(cameras: Cameras) -> None:
    zeros = {pair.input.name: [pair.dtype, list(pair.shape), True] for pair in METADATA.states}
    assert cameras.states(5, start=True) == zeros
    assert cameras.states(5).keys() == zeros.keys()
    assert cameras.states(5, start=True) == zeros, "START in mid-sequence begins with zero states again"
    assert cameras.states(6, start=True) == zeros
    full = cameras.error(7, start=True)
    assert "UNAVAILABLE" in full, "a camera without a place is refused when its timeout is over"
    assert "timeout of the corresponding sequence has been expired" in full
    cameras.states(5, end=True)
    assert cameras.states(7, start=True) == zeros, "END frees the place"
    assert "must specify the START flag" in cameras.error(5)


@pytest.mark.parametrize("repository", [SHORT], indirect=True)
def test_an_idle_camera_loses_its_place(cameras: Cameras) -> None:
    for camera in (5, 6):
        cameras.states(camera, start=True)
    deadline = time.monotonic() + 30
    while not cameras.has_place(7):
        assert time.monotonic() < deadline, "no place was freed"
    assert "must specify the START flag" in cameras.error(5)
