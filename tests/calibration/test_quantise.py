"""The Q/DQ graph: its INT8 convolutions, their scales, and its outputs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mostnet.calibration import convolutions, excluded_by, quantise
from mostnet.calibration import runtime as calibration_runtime
from mostnet.contract import BackendNotInstalledError, CalibrationError
from mostnet.export.opset import lower_opset
from mostnet.model import Checkpoint
from tests.rounding import needs_rounding

from .conftest import at_opset_17, session_of

STEM = "network.extractor.stem.0"


@pytest.fixture(scope="module")
def names(half: onnx.ModelProto) -> list[str]:
    return list(convolutions(half))


def test_without_onnx_runtime(half: onnx.ModelProto, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_runtime, "find_spec", lambda name: None)
    with pytest.raises(BackendNotInstalledError, match=r"calibrates and quantises graphs, is not installed: pip"):
        quantise(half, {names[0]: 1.0})


def makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def arrays(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def test_every_convolution_but_those_of_one_cell_or_of_constants(half: onnx.ModelProto, names: list[str]) -> None:
    everything = {n.name.rpartition("/")[0] for n in half.graph.node if n.op_type == "Conv"}
    left_out = {f"network.branches.{i}.fuse.{part}" for i in range(3) for part in ("squeeze", "excite")}
    left_out |= {"network.colour.weigh", "network.colour.decide"}
    left_out |= {"read", "network.extractor.shrink", "network.branches.0.upsample", "network.branches.1.gradient_step"}
    assert everything - set(names) == left_out


def test_input_and_weights_are_int8_and_the_rest_is_untouched(
    half: onnx.ModelProto, checkpoint: Checkpoint, names: list[str]
) -> None:
    found = quantise(half, dict.fromkeys(names, 2.0))
    made, values = makers(found), arrays(found)
    for name, conv in convolutions(found).items():
        through = [made[conv.input[i]] for i in range(2)]
        assert [node.op_type for node in through] == ["DequantizeLinear"] * 2, name
        before = made[through[0].input[0]]
        assert before.op_type == "QuantizeLinear"
        assert values[before.input[1]] == np.float16(2.0 / 127)
        assert values[before.input[2]] == 0
        stored = values[through[1].input[0]]
        assert stored.dtype == np.int8
        weight = checkpoint.model.get_parameter(f"{name.removeprefix('network.')}.weight").numpy()
        scales = values[through[1].input[1]]
        assert scales.shape == (len(weight),), "one scale per output channel"
        restored = stored * scales.astype(np.float32)[:, None, None, None]
        assert np.abs(restored - weight).max() <= 0.55 * scales.max()
    kinds = [n.op_type for n in half.graph.node]
    kept = [n.op_type for n in found.graph.node if not n.op_type.endswith("Linear")]
    assert sorted(kinds) == sorted(kept)
    assert [p.key for p in found.metadata_props] == ["mostnet"]
    assert found.producer_name == half.producer_name


def test_only_the_convolutions_asked_for_read_rounded_tensors(half: onnx.ModelProto, names: list[str]) -> None:
    """Not the identity path of a residual block, nor a float convolution that reads the same tensor."""
    chosen = [name for name in names if name.endswith("conv1") or "from_coarser" in name]
    assert 0 < len(chosen) < len(names)
    found = quantise(half, dict.fromkeys(chosen, 2.0))
    int8 = {convolutions(found)[name].name for name in chosen}
    after = {node.name: list(node.input) for node in found.graph.node}
    assert [n.name for n in half.graph.node if n.name not in int8 and after[n.name] != list(n.input)] == []
    assert all(after[name] != list(n.input) for n in half.graph.node for name in [n.name] if name in int8)


def test_a_shared_tensor_takes_the_wider_range(half: onnx.ModelProto, names: list[str]) -> None:
    shared: dict[str, list[str]] = {}
    for name, node in convolutions(half).items():
        shared.setdefault(node.input[0], []).append(name)
    one, other = next(pair for pair in shared.values() if len(pair) > 1)[:2]
    found = quantise(half, {one: 1.0, other: 3.0})
    assert {float(arrays(found)[n.input[1]]) for n in found.graph.node if n.op_type == "QuantizeLinear"} == {
        float(np.float16(3.0 / 127))
    }


def test_a_tensor_of_zeros_is_harmless(half: onnx.ModelProto) -> None:
    found = quantise(half, {STEM: 0.0})
    (scale,) = [arrays(found)[n.input[1]] for n in found.graph.node if n.op_type == "QuantizeLinear"]
    assert np.isfinite(scale) and scale > 0


def test_patterns() -> None:
    modules = ["network.branches.0.head", "network.branches.1.head", "network.extractor.stem.0"]
    assert excluded_by(["head"], modules) == tuple(modules[:2])
    assert excluded_by(["branches.1", "network.ext*"], modules) == tuple(modules[1:])
    assert excluded_by([], modules) == ()
    with pytest.raises(
        CalibrationError, match="--exclude hea: matches no convolution; convolutions are called network"
    ):
        excluded_by(["hea"], modules)


def test_nothing_left(half: onnx.ModelProto) -> None:
    with pytest.raises(CalibrationError, match="no convolution is left to quantise"):
        quantise(half, {})


def test_half_precision_below_opset_19_is_refused_until_lowered(half: onnx.ModelProto, names: list[str]) -> None:
    lowered = onnx.ModelProto()
    lowered.CopyFrom(half)
    with pytest.raises(CalibrationError, match="needs opset 19"):
        quantise(lower_opset(lowered, 17), dict.fromkeys(names, 2.0))


@needs_rounding
def test_float32_scales_for_opset_17_compute_the_same(half: onnx.ModelProto, names: list[str]) -> None:
    new = quantise(half, dict.fromkeys(names, 2.0))
    frame = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    outputs = [run(model, frame) for model in (new, at_opset_17(new))]
    difference = np.abs(outputs[0].astype(int) - outputs[1].astype(int))
    assert difference.mean() < 2, "half-precision divisions round some values to the other side"


def run(model: onnx.ModelProto, frame: np.ndarray) -> np.ndarray:
    session = session_of(model)
    state = {i.name: np.zeros(i.shape, np.float16) for i in session.get_inputs() if i.name != "frame"}
    result: np.ndarray = session.run(["enhanced"], {"frame": frame, **state})[0]
    return result
