"""INT8 state from the command line: graphs, plans, reports, and every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

from mostnet.calibration import quantise, quantise_states
from mostnet.contract import ONNX_KEY, CalibrationError, ExportError, Metadata, ModelFileError, PlanInfo, StatePair
from mostnet.engine import Engine
from mostnet.engine.tensorrt.log import tensorrt_logger
from mostnet.export.accuracy import FrameAccuracy
from mostnet.export.cli import main
from mostnet.export.evidence import choice_markdown
from mostnet.export.graph import graph_metadata, save_graph
from mostnet.export.plan.flavour import network_flags
from mostnet.export.plan.network import check_network
from mostnet.export.plan.request import PlanRequest
from mostnet.export.sensitivity import BudgetAttempt, Choice, Judge, LayerError, choose_layers
from tests.rounding import needs_rounding

from .conftest import SIZE, SIZE_TEXT, int8

HEADS = ["--exclude", "network.[!b]*", "--exclude", "fuse", "--exclude", "blocks", "--exclude", "from_coarser"]
HEADS += ["--exclude", "remember", "--exclude", "residual"]
STATES = {"hidden4": 1.0, "hidden8": 1.0, "hidden16": 1.0, "match16": 1.0, "match8": 1.0, "fine2": 1.0}

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def tensorrt() -> ModuleType:
    found: ModuleType = pytest.importorskip(
        "tensorrt_rtx", reason="TensorRT for RTX has no wheel for this machine", exc_type=ImportError
    )
    return found


@needs_rounding
def test_an_export_with_cache_and_verification(
    checkpoint_path: Path, video_path: Path, tmp_path: Path, capsys: Capture
) -> None:
    cache = ["--calib-cache", str(tmp_path / "ranges.npz"), "--onnx-only", *HEADS]
    assert main(int8(checkpoint_path, video_path, tmp_path / "without", *cache)) == 0
    arguments = int8(checkpoint_path, video_path, tmp_path, *cache, "--int8-state", "--allow-trivial")
    arguments += ["--exclude", "match16", "--verify", str(video_path), "--verify-frames", "4"]
    assert main(arguments) == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    assert "ranges read from" in text, "every cache has the histograms of the state"
    cells = SIZE[0] * SIZE[1] // 16
    values = cells * (8 + 4) + cells // 4 * (16 + 16) + cells // 16 * (32 + 16)
    after = values + cells // 16 * 16
    assert f"5 of 6 states are INT8: {after / 1000:.0f} kB a frame instead of {2 * values / 1000:.0f}" in text
    path = tmp_path / f"tiny-{SIZE_TEXT}-int8.onnx"
    with Engine(path) as engine:
        kinds = {pair.name: pair.dtype for pair in engine.metadata.states}
        assert sum(pair.input.nbytes for pair in engine.metadata.states) == after
    assert kinds == {name: "float16" if name == "match16" else "int8" for name in STATES}
    evidence = json.loads(path.with_suffix(".calibration.json").read_text())
    assert evidence["options"]["int8_state"] is True
    assert set(evidence["int8_states"]) == set(STATES) - {"match16"}
    assert all(0 < v["threshold"] <= v["largest"] <= 1.001 for v in evidence["int8_states"].values())
    assert "match16" in evidence["excluded_by_hand"]
    plain = json.loads((tmp_path / "without" / f"tiny-{SIZE_TEXT}-int8.calibration.json").read_text())
    assert plain["int8_states"] == {}
    assert plain["int8"] == evidence["int8"]


@pytest.fixture(scope="module")
def int8_state(half: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "model.onnx"
    save_graph(quantise_states(quantise(half, {"network.branches.0.head": 2.0}), STATES), path)
    return path


def carried_by_hand(path: Path, frames: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Outputs of a plain loop over ONNX Runtime, frame by frame."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    state = {i.name: np.zeros(i.shape, np.int8) for i in session.get_inputs() if i.name != "frame"}
    names = [output.name for output in session.get_outputs()]
    results = []
    for frame in frames:
        results.append(dict(zip(names, session.run(names, {"frame": frame[None], **state}), strict=True)))
        state = {name: results[-1][name.replace("_in_", "_out_")] for name in state}
    return results


def test_the_engine_carries_it_and_forgets_it(int8_state: Path, clip: list[np.ndarray]) -> None:
    wanted = carried_by_hand(int8_state, clip[:6])
    assert any(result["state_out_match8"].any() for result in wanted)
    with Engine(int8_state, provider="cpu", threads=1) as engine:
        for stream in (map(engine.infer, clip[:6]), engine.stream(clip[:6])):
            engine.reset()
            for found, result in zip(stream, wanted, strict=True):
                np.testing.assert_array_equal(found.enhanced, result["enhanced"][0])
                np.testing.assert_array_equal(found.flow, result["flow"][0])
                np.testing.assert_array_equal(found.mask, result["mask"][0])
    assert np.abs(wanted[1]["flow"]).max() > 0, "the second frame has history"
    assert not wanted[0]["flow"].any()


def test_a_description_of_other_types_is_refused(int8_state: Path, tmp_path: Path) -> None:
    model = onnx.load(int8_state)
    text = next(p.value for p in model.metadata_props if p.key == ONNX_KEY)
    helper.set_model_props(model, {ONNX_KEY: text.replace('"int8"', '"float16"')})
    save_graph(model, tmp_path / "other.onnx")
    text = r"missing .*state_in_hidden16 float16.*unexpected .*state_in_hidden16 int8"
    with pytest.raises(ModelFileError, match=text):
        Engine(tmp_path / "other.onnx")


def test_a_plan_takes_and_gives_int8(
    tensorrt: ModuleType, checkpoint_path: Path, video_path: Path, tmp_path: Path, capsys: Capture
) -> None:
    plan = ["--target", "sm_86", "--flavour", "rtx", "--int8-state", *HEADS]
    assert main(int8(checkpoint_path, video_path, tmp_path, *plan)) == 0, capsys.readouterr().err
    stem = tmp_path / f"tiny-{SIZE_TEXT}-int8"
    described = PlanInfo.from_json(stem.with_suffix(".plan.json").read_text(), source="plan")
    assert {pair.dtype for pair in described.states} == {"int8"}
    network = parsed(tensorrt, onnx.load(stem.with_suffix(".onnx")))[0]
    tensors = [network.get_input(i) for i in range(network.num_inputs)]
    tensors += [network.get_output(i) for i in range(network.num_outputs)]
    states = {tensor.name: tensor.dtype for tensor in tensors if tensor.name.startswith("state_")}
    assert len(states) == 12
    assert set(states.values()) == {tensorrt.int8}


def parsed(trt: ModuleType, model: onnx.ModelProto) -> tuple[Any, ...]:
    """The parsed network, and the objects that must live as long."""
    logger = tensorrt_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(model.SerializeToString()), parser.get_error(0)
    return network, parser, builder, logger


def convolved_state() -> onnx.ModelProto:
    """A graph of one convolution from the state's input to its output."""
    shape = (1, 8, 16, 16)
    weights = numpy_helper.from_array(np.ones((8, 8, 1, 1), np.float16), "weight")
    node = helper.make_node("Conv", ["state_in_a", "weight"], ["state_out_a"], name="network.a/conv")
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT16, shape)] for name in ("state_in_a", "state_out_a")
    )
    graph = helper.make_graph([node], "a", inputs, outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    pair = StatePair("a", shape, "float16")
    metadata = Metadata(
        variant="a", size_hw=SIZE, precision="int8", opset=19, trained=False, states=(pair,), checkpoint_sha256="x"
    )
    helper.set_model_props(model, {ONNX_KEY: metadata.to_json()})
    return model


def asking_int8(*modules: str) -> PlanRequest:
    return PlanRequest(floats="fp16", convolutions={f"{module}/conv": "INT8" for module in modules})


def test_a_convolution_of_the_restored_state_is_int8_only_where_it_was_quantised(tensorrt: ModuleType) -> None:
    floating = quantise_states(convolved_state(), {"a": 1.0})
    quantised = quantise_states(quantise(convolved_state(), {"network.a": 2.0}), {"a": 1.0})
    for model, modules, wrong, text in (
        (floating, (), ("network.a",), "network.a/conv is not INT8"),
        (quantised, ("network.a",), (), "network.a/conv is INT8"),
    ):
        network, *owners = parsed(tensorrt, model)
        check_network(tensorrt, network, asking_int8(*modules))
        with pytest.raises(ExportError, match=text):
            check_network(tensorrt, network, asking_int8(*wrong))
        del network, owners


def test_the_budget_has_int8_state_in_every_attempt(
    checkpoint_path: Path, video_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[set[str]] = []

    def save(model: onnx.ModelProto, path: Path) -> None:
        saved.append({pair.name for pair in graph_metadata(model).states if pair.dtype == "int8"})
        save_graph(model, path)

    monkeypatch.setattr("mostnet.export.sensitivity.save_graph", save)
    arguments = int8(checkpoint_path, video_path, tmp_path, "--onnx-only", "--int8-state", "--accuracy-budget", *HEADS)
    assert main([*arguments, "--budget-frames", "2", "--exclude", "match8", "--exclude", "match16"]) == 0
    assert len(saved) >= 5, "none, three layers, and all"
    assert all(names == {"hidden4", "hidden8", "hidden16", "fine2"} for names in saved)
    stem = tmp_path / f"tiny-{SIZE_TEXT}-int8"
    evidence = json.loads(stem.with_suffix(".calibration.json").read_text())
    assert evidence["choice"]["int8_states"] == ["hidden4", "hidden8", "hidden16", "fine2"]
    text = stem.with_suffix(".calibration.md").read_text()
    assert "States that are INT8 in every measurement: hidden4, hidden8, hidden16, fine2." in text
    assert "with only the states in INT8 it is" in text


def test_the_report_says_nothing_of_a_state_that_is_not_int8() -> None:
    error = LayerError("network.a", 40.0, 0.1, 0.99, 0.9)
    choice = Choice((), (error,), LayerError("none", 60.0, 0.0, 1.0, 0.01), (BudgetAttempt(0, 41, 0.1, 1, True),), 4)
    assert "with none in INT8 it is 1.00%" in choice_markdown(choice)
    assert "States" not in choice_markdown(choice)


def test_a_budget_that_no_layer_keeps_names_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Judge, "accuracy", lambda self, layers: [FrameAccuracy(30.0, 0.5, 0.9, True)] * 2)
    for states, text in (({"match8": 1.0}, "export with --fp16, or without --int8-state$"), ({}, "with --fp16$")):
        judge = Judge(Any, Any, {"network.a": 1.0, "network.b": 1.0}, states, Any, 2)
        with pytest.raises(CalibrationError, match=text):
            choose_layers(judge, Console(quiet=True))


def test_opset_17_runs(checkpoint_path: Path, video_path: Path, tmp_path: Path) -> None:
    arguments = int8(checkpoint_path, video_path, tmp_path, "--onnx-only", "--opset", "17", "--int8-state")
    assert main([*arguments, "--verify", str(video_path), "--verify-frames", "3", *HEADS, "--allow-trivial"]) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--int8-state"], "--int8-state needs --calib VIDEO_OR_DATASET"),
        (["--int8", "--int8-state"], "--int8-state needs --calib VIDEO_OR_DATASET"),
        (["--int8-state", "--calib", "VIDEO"], "calibration data is for --int8 or for --range-report; leave it out"),
        (["--int8-state", "--range-report", "--calib", "VIDEO"], "int8_state: only for --int8; leave it out of a"),
        (
            ["--int8", "--int8-state", "--calib", "VIDEO", "--exclude", "match4"],
            "--exclude match4: matches no convolution, and no state of hidden4, hidden8, hidden16, match16, match8, "
            "fine2; ",
        ),
        (["--int8", "--calib", "VIDEO", "--exclude", "match8"], "--exclude match8: matches no convolution; conv"),
        (
            ["--int8", "--int8-state", "--calib", "VIDEO", "--exclude", "[hm]*[0-9]", "--exclude", "fine2"],
            "no state is left to quantise; exclude fewer, or leave --int8-state out",
        ),
    ],
)
def test_one_line_errors(
    checkpoint_path: Path, video_path: Path, tmp_path: Path, capsys: Capture, arguments: list[str], text: str
) -> None:
    arguments = [str(video_path) if argument == "VIDEO" else argument for argument in arguments]
    output = tmp_path / "out"
    assert main([str(checkpoint_path), "--onnx-only", "--output", str(output), "--size", SIZE_TEXT, *arguments]) == 1
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
    assert not output.exists() or list(output.iterdir()) == []
