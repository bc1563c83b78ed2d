"""``config.pbtxt`` has the graph's own names, types and shapes, and says how Triton carries the states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from mostnet.bench.gpu.standin.toy import METADATA
from mostnet.contract import Metadata
from mostnet.export import ModelFiles, write_repository
from mostnet.export.graph import save_graph
from mostnet.export.triton.config import model_config
from mostnet.export.triton.options import TritonOptions
from mostnet.export.triton.signature import read_signature

from ...toy_graph import save_toy
from .interpreter import ConfiguredModel, numpy_type
from .twins import save_twins

_ONNX = {
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(bool)": "bool",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
}


@pytest.fixture
def toy(tmp_path: Path) -> ConfiguredModel:
    write_repository(tmp_path / "repository", [ModelFiles(save_toy(tmp_path / "toy.onnx"))], cameras=5, idle_s=2.5)
    return ConfiguredModel(tmp_path / "repository/onnxruntime/mostnet")


def assert_same_tensors(model: ConfiguredModel) -> None:
    """Inputs and outputs of the configuration, and its states, are together the tensors of the graph."""
    states = model.config.sequence_batching.state
    for nodes, entries, state_names in (
        (model.session.get_inputs(), model.config.input, [state.input_name for state in states]),
        (model.session.get_outputs(), model.config.output, [state.output_name for state in states]),
    ):
        found = [(entry.name, numpy_type(entry.data_type), list(entry.dims)) for entry in entries]
        found += [(n, numpy_type(s.data_type), list(s.dims)) for n, s in zip(state_names, states, strict=True)]
        assert sorted(found) == sorted((node.name, _ONNX[node.type], list(node.shape)) for node in nodes)
    for state in states:
        (initial,) = state.initial_state
        assert (initial.data_type, initial.dims, initial.zero_data) == (state.data_type, state.dims, True)
        assert initial.name, "Triton refuses an initial state without a name"


def test_tensors_are_those_of_the_graph(toy: ConfiguredModel) -> None:
    assert_same_tensors(toy)
    assert [entry.name for entry in toy.config.input] == ["frame"]
    assert [entry.name for entry in toy.config.output] == ["enhanced", "flow", "mask", "finite"]
    kinds = {s.input_name: numpy_type(s.data_type) for s in toy.config.sequence_batching.state}
    assert kinds == {pair.input.name: pair.dtype for pair in METADATA.states}
    assert {"float16", "int8", "float32"} == set(kinds.values())


def test_tensors_of_a_real_network(half: onnx.ModelProto, tmp_path: Path) -> None:
    save_graph(half, tmp_path / "net.onnx")
    write_repository(tmp_path, [ModelFiles(tmp_path / "net.onnx")])
    assert_same_tensors(ConfiguredModel(tmp_path / "onnxruntime/mostnet"))


def test_scheduling(toy: ConfiguredModel) -> None:
    config = toy.config
    assert (config.name, config.backend, config.max_batch_size) == ("mostnet", "onnxruntime", 0)
    sequences = config.sequence_batching
    assert sequences.WhichOneof("strategy_choice") == "oldest"
    assert sequences.oldest.max_candidate_sequences == 5
    assert sequences.max_sequence_idle_microseconds == 2_500_000
    (group,) = config.instance_group
    assert group.count == 1, "by default, Triton makes two instances on a CPU, each with weights of its own"
    assert group.kind == group.KIND_AUTO
    assert not sequences.control_input, "the graph has no such input, and a backend refuses one that it lacks"
    assert not config.model_warmup, "it fails with states that Triton carries, and the model would not load"


def test_cuda_runs_as_in_the_engine(toy: ConfiguredModel) -> None:
    (accelerator,) = toy.config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "cuda"
    assert dict(accelerator.parameters) == {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


def test_clients_read_the_description(toy: ConfiguredModel) -> None:
    text = toy.config.parameters["mostnet"].string_value
    assert Metadata.from_json(text, source="config") == METADATA


@pytest.mark.parametrize("save", [save_toy, save_twins])
def test_pairs_are_those_that_triton_makes_of_sorted_names(save: Any, tmp_path: Path) -> None:
    """Triton updates the k-th input with the k-th output, each by the order of its names, whatever the pairs say."""
    write_repository(tmp_path, [ModelFiles(save(tmp_path / "graph.onnx"))])
    states = ConfiguredModel(tmp_path / "onnxruntime/mostnet").config.sequence_batching.state
    outputs = sorted(state.output_name for state in states)
    assert [state.output_name for state in sorted(states, key=lambda state: state.input_name)] == outputs


def test_the_tensorrt_backend_runs_on_a_gpu_alone(tmp_path: Path) -> None:
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    graph = read_signature(save_toy(tmp_path / "toy.onnx"))
    text = model_config("mostnet", graph, "tensorrt", TritonOptions(repository=tmp_path))
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert config.backend == "tensorrt"
    assert [group.kind for group in config.instance_group] == [config.instance_group[0].KIND_GPU]
    assert not config.HasField("optimization")
    other = model_config("mostnet", graph, "onnxruntime", TritonOptions(repository=tmp_path))
    other = text_format.Parse(other, model_config_pb2.ModelConfig())
    for field in ("input", "output", "sequence_batching", "parameters", "name", "max_batch_size"):
        assert getattr(config, field) == getattr(other, field)
