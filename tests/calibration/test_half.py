"""Tensors that half precision does not hold are found, and survive in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from mostnet.calibration import (
    CalibrationData,
    TensorRange,
    half_tensors,
    keep_float32,
    magnitude_names,
    observe,
    tensor_ranges,
    with_magnitudes,
)
from mostnet.contract import Metadata
from mostnet.export.graph import build_graph
from mostnet.model import Checkpoint, FrameModel, initial_checkpoint

from .conftest import SIZE

BLOCK = "network.branches.2.blocks.0"


@pytest.mark.parametrize(
    ("largest", "risk"),
    [(1.0, ""), (0.0, ""), (32000.0, ""), (40000.0, "near overflow"), (65505.0, "overflow"), (5e-5, "underflow")],
)
def test_risks(largest: float, risk: str) -> None:
    assert TensorRange("t", "n", largest).risk == risk


def overflowing(factor: float = 2e5) -> Checkpoint:
    """A network that computes the same for any ``factor``, but has a tensor that many times as large in one block."""
    found = initial_checkpoint("nano", seed=1, random_head=True)
    block = FrameModel(found.model).get_submodule(BLOCK)
    block.conv1.bias.data += 0.3
    block.conv1.weight.data *= factor
    block.conv1.bias.data *= factor
    block.conv2.weight.data /= factor
    return found


def ranges(graph: onnx.ModelProto, metadata: Metadata, dataset: Path) -> tuple[TensorRange, ...]:
    tensors = half_tensors(graph)
    frames = observe(
        with_magnitudes(graph, tensors),
        metadata,
        CalibrationData(dataset, SIZE, 4),
        magnitude_names(tensors),
        threads=1,
    )
    return tensor_ranges(frames, tensors)


def test_magnitudes_are_those_of_the_tensors(half: onnx.ModelProto, metadata: Metadata, dataset: Path) -> None:
    found = {r.tensor: r.largest for r in ranges(half, metadata, dataset)}
    assert len(found) > 200
    data = CalibrationData(dataset, SIZE, 4)
    direct = dict.fromkeys(found, 0.0)
    for values in observe(half, metadata, data, list(found), threads=1):
        direct = {name: max(direct[name], float(np.abs(values[name]).max())) for name in direct}
    assert found == pytest.approx(direct)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_a_planted_overflow_is_found_and_survives(metadata: Metadata, dataset: Path) -> None:
    checkpoint = overflowing()
    graph = build_graph(checkpoint, size_hw=SIZE, precision="fp16", opset=19, checkpoint_sha256="x")
    risky = [r for r in ranges(graph, metadata, dataset) if r.risk]
    assert "overflow" in {r.risk for r in risky}
    assert {r.node.rpartition("/")[0].startswith(BLOCK) for r in risky} == {True}
    frames = [frame for s in CalibrationData(dataset, SIZE, 6).sequences() for frame in s]
    broken = run(graph, metadata, frames)
    weights = {name: value.numpy() for name, value in FrameModel(checkpoint.model).state_dict().items()}
    kept = keep_float32(graph, [r.tensor for r in risky], weights)
    onnx.checker.check_model(graph, full_check=True)
    assert f"{BLOCK}.conv1" in {name.rpartition("/")[0] for name in kept}
    sound = build_graph(overflowing(1.0), size_hw=SIZE, precision="fp16", opset=19, checkpoint_sha256="x")
    healed, wanted = run(graph, metadata, frames), run(sound, metadata, frames)
    assert healed[1]
    assert difference(healed[0], wanted[0]) < 0.5
    assert difference(broken[0], wanted[0]) > 2, "the overflow must do harm, or this shows nothing"


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference of two pictures over 8x8 patches, in grey levels."""
    levels = np.abs(one[0].astype(float) - other[0].astype(float)).mean(2)
    return float(levels.reshape(SIZE[0] // 8, 8, SIZE[1] // 8, 8).mean((1, 3)).max())


def rounded(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that computes its half-precision tensors in half precision.

    ONNX Runtime computes convolutions in float32 and drops the casts between two of them, so that nothing overflows. An
    Identity between them is computed in half precision, and stays as long as optimisation is off.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    half = half_tensors(copy)
    del copy.graph.node[:]
    for node in graph.graph.node:
        changed = copy.graph.node.add()
        changed.CopyFrom(node)
        for i, name in enumerate(node.output):
            if name in half:
                changed.output[i] = f"{name}_before"
                copy.graph.node.append(onnx.helper.make_node("Identity", [f"{name}_before"], [name]))
    del copy.graph.value_info[:]
    return copy


def run(graph: onnx.ModelProto, metadata: Metadata, frames: list[np.ndarray]) -> tuple[np.ndarray, bool]:
    """The last picture of a stream, and whether every frame was finite."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(rounded(graph).SerializeToString(), settings)
    state = {pair.input.name: np.zeros(pair.shape, np.float16) for pair in metadata.states}
    finite = True
    for frame in frames:
        picture, ok, *states = session.run(
            ["enhanced", "finite", *(pair.output.name for pair in metadata.states)], {"frame": frame[None], **state}
        )
        state = dict(zip(state, states, strict=True))
        finite &= bool(ok)
    return picture, finite


def test_kept_tensors_are_float32_and_the_others_are_not(half: onnx.ModelProto) -> None:
    graph = onnx.ModelProto()
    graph.CopyFrom(half)
    chosen = next(n.output[0] for n in graph.graph.node if n.name.startswith(f"{BLOCK}.conv1/"))
    before = half_tensors(graph)
    keep_float32(graph, [chosen], {})
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True)
    kinds = {v.name: v.type.tensor_type.elem_type for v in inferred.graph.value_info}
    assert kinds[chosen] == TensorProto.FLOAT
    assert before.keys() - half_tensors(graph).keys() == {chosen}
