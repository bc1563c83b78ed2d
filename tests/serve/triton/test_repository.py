"""The repository of the local server, read back with Triton's own description of a configuration."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from mostnet.bench.gpu.standin.toy import METADATA, SIZE_HW
from mostnet.contract import Metadata, PlanInfo
from mostnet.serve.triton.lane import _ANSWER_S
from mostnet.serve.triton.repository import (
    SETTINGS_KEY,
    ServerSettings,
    link_backend,
    model_config,
    remove_memory,
    stub_path,
    write_repository,
)

SETTINGS = ServerSettings(
    engine='/a folder/"model".onnx',
    cameras=8,
    idle_s=2.5,
    threads=3,
    at_once=2,
    prefix=sys.prefix,
    memory="mostnet-triton-0",
    lock="/a folder/lock",
)


def config_of(metadata: Metadata, name: str = "mostnet") -> ModelConfig:
    return text_format.Parse(model_config(name, metadata, SETTINGS), ModelConfig())


def test_the_configuration_has_the_tensors_of_every_served_model() -> None:
    config = config_of(METADATA, 'a "name"')
    height, width = SIZE_HW
    assert (config.name, config.backend, config.max_batch_size) == ('a "name"', "python", 0)
    told = [
        (tensor.name, tensor.data_type, list(tensor.dims))
        for tensors in (config.input, config.output)
        for tensor in tensors
    ]
    assert told == [
        ("frame", 2, [1, height, width, 3]),
        ("enhanced", 2, [1, height, width, 3]),
        ("flow", 11, [1, 2, height, width]),
        ("mask", 2, [1, height, width]),
        ("finite", 1, [1]),
    ]


def test_triton_has_room_for_more_cameras_than_the_server_and_forgets_them_later() -> None:
    config = config_of(METADATA)
    assert config.sequence_batching.oldest.max_candidate_sequences > SETTINGS.cameras
    assert config.sequence_batching.max_sequence_idle_microseconds == (2.5 + _ANSWER_S) * 1e6
    assert [(group.kind, group.count) for group in config.instance_group] == [(ModelInstanceGroup.KIND_CPU, 1)]


def test_the_description_and_the_settings_are_read_back() -> None:
    parameters = config_of(METADATA).parameters
    assert Metadata.from_json(parameters["mostnet"].string_value, source="test") == METADATA
    assert ServerSettings.from_json(parameters[SETTINGS_KEY].string_value) == SETTINGS


def test_the_description_of_a_plan_is_that_of_its_graph() -> None:
    values = {item.name: getattr(METADATA, item.name) for item in fields(METADATA)}
    plan = PlanInfo(**values, plan_sha256="0" * 64, flavour="rtx", tensorrt_version="1", targets=("sm_86",))
    assert Metadata.from_json(config_of(plan).parameters["mostnet"].string_value, source="test") == METADATA


def test_the_model_imports_from_the_folders_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", "/a 'folder'", *sys.path])
    monkeypatch.chdir(tmp_path)
    write_repository(tmp_path / "models", "mostnet", METADATA, SETTINGS)
    assert (tmp_path / "models/mostnet/config.pbtxt").is_file()
    path = ["/its/own", "/a 'folder'"]
    monkeypatch.setattr(sys, "path", path)
    source = (tmp_path / "models/mostnet/1/model.py").read_text(encoding="utf-8")
    exec(source.replace("from mostnet", "#"))
    assert path[:2] == [str(tmp_path), "/a 'folder'"]
    assert path.count("/a 'folder'") == 1
    assert path[-1] == "/its/own"


def test_the_backend_is_the_one_of_the_wheel_with_the_program_for_this_python(tmp_path: Path) -> None:
    wheel = tmp_path / "wheel"
    backend = wheel / "backends" / "python"
    stub = stub_path(wheel)
    for file in (backend / "libtriton_python.so", backend / "utils.py", backend / stub.name, stub):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(file), encoding="utf-8")
    link_backend(wheel, tmp_path / "new")
    found = {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "new" / "python").iterdir()}
    assert set(found) == {"libtriton_python.so", "utils.py", stub.name}
    assert found[stub.name] == str(stub)


def test_only_memory_of_this_server_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mostnet.serve.triton.repository._SHARED", tmp_path)
    for name in ("mostnet-triton-0-region", "mostnet-triton-1-region"):
        (tmp_path / name).touch()
    remove_memory("mostnet-triton-0")
    assert [file.name for file in tmp_path.iterdir()] == ["mostnet-triton-1-region"]
