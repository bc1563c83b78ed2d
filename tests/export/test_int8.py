"""INT8 exports and range reports from the command line: files, figures, and every refusal."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from mostnet.calibration import CalibrationData, quantise
from mostnet.contract import ExportError, PlanInfo, sha256
from mostnet.engine import Engine
from mostnet.export.accuracy import FrameAccuracy
from mostnet.export.cli import main
from mostnet.export.evidence import choice_chart, choice_markdown
from mostnet.export.graph import float32_islands
from mostnet.export.left_float import PUT_BACK
from mostnet.export.plan.builder import build_plan
from mostnet.export.plan.flavour import Toolchain
from mostnet.export.plan.request import PlanRequest
from mostnet.export.sensitivity import BudgetAttempt, Choice, LayerError, bisect, runs_of
from mostnet.model import FrameModel, initial_checkpoint, load_checkpoint, save_checkpoint
from tests.rounding import needs_rounding

from .conftest import SIZE, SIZE_TEXT, int8

#: All but the output heads, so that a search has three layers.
MOST = ["--exclude", "extractor", "--exclude", "estimators", "--exclude", "match_heads", "--exclude", "fuse"]
MOST += ["--exclude", "blocks", "--exclude", "from_coarser", "--exclude", "remember", "--exclude", "colour"]
MOST += ["--exclude", "residual"]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "ranges.npz"


@needs_rounding
def test_int8_with_plan_verification_and_cache(
    checkpoint_path: Path, video_path: Path, tmp_path: Path, cache: Path, capsys: Capture
) -> None:
    plan = ["--target", "sm_86", "--flavour", "rtx"]
    if importlib.util.find_spec("tensorrt_rtx") is None:
        plan = ["--onnx-only"]
    arguments = int8(checkpoint_path, video_path, tmp_path, *plan, "--calib-cache", str(cache))
    arguments += [
        "--verify",
        str(video_path),
        "--verify-frames",
        "4",
        "--exclude",
        "extractor",
        "--exclude",
        "match_heads",
    ]
    assert main([*arguments, "--exclude", "context"]) == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    assert "27 of 56 convolutions are INT8, the others FP16" in text
    assert "  17 float: excluded by --exclude: extractor.stem.0, " in text
    assert f" and 11 more, in {tmp_path / f'tiny-{SIZE_TEXT}-int8.calibration.json'}\n" in text
    assert f"calibrated on 6 frames of {video_path}\n" in text and "not verified" not in text
    assert "  1 float: computes in float32 in every precision: branches.1.gradient_step\n" in text
    stem = tmp_path / f"tiny-{SIZE_TEXT}-int8"
    with Engine(stem.with_suffix(".onnx")) as engine:
        assert engine.metadata.precision == "int8"
        assert {pair.dtype for pair in engine.metadata.states} == {"float16"}
        assert engine.metadata.tools.keys() >= {"onnxruntime", "torch"}
    evidence = json.loads(stem.with_suffix(".calibration.json").read_text())
    assert evidence["options"]["method"] == "mse"
    assert len(evidence["int8"]) == 27
    graph = onnx.load(stem.with_suffix(".onnx"))
    every = {node.name.rpartition("/")[0] for node in graph.graph.node if node.op_type == "Conv"}
    assert evidence["float"].keys() | evidence["int8"].keys() == every, "every convolution is INT8 or has a reason"
    assert not evidence["float"].keys() & evidence["int8"].keys()
    assert "network.extractor.stem.0" in evidence["excluded_by_hand"]
    assert all(0 < v["threshold"] <= v["largest"] for v in evidence["int8"].values())
    if plan[0] != "--onnx-only":
        described = PlanInfo.from_json(stem.with_suffix(".plan.json").read_text(), source="plan")
        assert described.precision == "int8"
        assert described.plan_sha256 == sha256(stem.with_suffix(".plan"))


def test_the_cache_is_used_and_refused(
    checkpoint_path: Path, video_path: Path, tmp_path: Path, cache: Path, capsys: Capture
) -> None:
    if not cache.exists():
        assert main(int8(checkpoint_path, video_path, tmp_path, "--onnx-only", "--calib-cache", str(cache))) == 0
    before = cache.read_bytes()
    arguments = int8(checkpoint_path, video_path, tmp_path / "new", "--onnx-only", "--calib-cache", str(cache))
    assert main([*arguments, "--method", "minmax"]) == 0
    shown = capsys.readouterr().out
    assert "ranges read from" in shown and "not verified; --verify VIDEO compares it" in shown
    assert main([*arguments, "--calib-stateless"]) == 1
    error = capsys.readouterr().err
    assert "a range cache of another origin: carry_state is True, wanted False; delete it, or name another" in error
    assert cache.read_bytes() == before


def test_int8_with_float32_rest_at_opset_17(checkpoint_path: Path, video_path: Path, tmp_path: Path) -> None:
    arguments = int8(checkpoint_path, video_path, tmp_path, "--onnx-only", "--rest", "fp32", "--opset", "17")
    at = arguments.index("--calib-frames")
    del arguments[at : at + 2]
    assert main(arguments) == 0
    evidence = json.loads((tmp_path / f"tiny-{SIZE_TEXT}-int8.calibration.json").read_text())
    assert evidence["options"]["frames"] == 12, "all frames of the clip"
    graph = onnx.load(tmp_path / f"tiny-{SIZE_TEXT}-int8.onnx")
    assert graph.opset_import[0].version == 17
    kinds = {t.data_type for t in graph.graph.initializer}
    assert onnx.TensorProto.FLOAT16 not in kinds
    assert onnx.TensorProto.INT8 in kinds


def test_the_accuracy_budget_chooses_and_shows_why(
    checkpoint_path: Path, video_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    worst = "network.branches.0.head"
    measured = iter([50.0, 30.0, 52.0, 53.0, 20.0, 49.0])  # no layer, three single layers, all three, all but the worst

    def accuracy(self: object, layers: object) -> list[FrameAccuracy]:
        return [FrameAccuracy(next(measured), 0.0, 1.0, True)] * 2

    monkeypatch.setattr("mostnet.export.sensitivity.Judge.accuracy", accuracy)
    arguments = int8(checkpoint_path, video_path, tmp_path, "--onnx-only", "--accuracy-budget", *MOST)
    assert main([*arguments, "--budget-frames", "2"]) == 0
    stem = tmp_path / f"tiny-{SIZE_TEXT}-int8"
    evidence = json.loads(stem.with_suffix(".calibration.json").read_text())
    ranked = [error["module"] for error in evidence["choice"]["errors"]]
    assert evidence["choice"]["put_back"] == ranked[:1]
    assert set(evidence["int8"]) == set(ranked[1:])
    assert worst in ranked
    assert [a["put_back"] for a in evidence["choice"]["attempts"]] == [0, 1]
    assert cv2.imread(str(stem.with_suffix(".calibration.png"))) is not None
    text = stem.with_suffix(".calibration.md").read_text()
    assert "1 of 3, measured on 2 calibration frames" in text
    assert evidence["float"][ranked[0]] == PUT_BACK
    assert f"| {PUT_BACK} | 1 | {ranked[0]} |" in text


def test_a_real_search_measures_every_layer(checkpoint_path: Path, video_path: Path, tmp_path: Path) -> None:
    arguments = int8(checkpoint_path, video_path, tmp_path, "--onnx-only", "--accuracy-budget", *MOST)
    assert main([*arguments, "--budget-frames", "2"]) == 0
    choice = json.loads((tmp_path / f"tiny-{SIZE_TEXT}-int8.calibration.json").read_text())["choice"]
    assert choice["frames"] == 2
    assert len(choice["errors"]) == 3
    assert all(error["psnr_db"] > 30 for error in choice["errors"])
    finest = next(e for e in choice["errors"] if e["module"] == "network.branches.0.head")
    assert finest["psnr_db"] < choice["unquantised"]["psnr_db"], "the head writes the picture itself"


@pytest.mark.parametrize(("needed", "tried"), [(0, [0]), (1, [0, 4, 2, 1]), (5, [0, 4, 6, 5]), (7, [0, 4, 6, 7])])
def test_bisection_finds_the_fewest(needed: int, tried: list[int]) -> None:
    class Judge:
        def accuracy(self, layers: list[str]) -> list[FrameAccuracy]:
            return [FrameAccuracy(50.0 if 8 - len(layers) >= needed else 10.0, 0.0, 1.0, True)]

    attempts = bisect(Judge(), [str(i) for i in range(8)])  # type: ignore[arg-type]
    assert [a.put_back for a in attempts] == tried
    assert min(a.put_back for a in attempts if a.holds) == needed


def test_the_evidence_is_readable() -> None:
    errors = tuple(LayerError(name, 40.0, 0.1, 0.99, share) for name, share in (("network.a", 0.9), ("network.b", 0.2)))
    choice = Choice(
        ("network.a",), errors, LayerError("none", 60.0, 0.0, 1.0, 0.01), (BudgetAttempt(1, 41, 0.1, 1, True),), 4
    )
    text = choice_markdown(choice)
    assert "| network.a | 40.00 | 0.1000 | 0.9900 | 90.00% | float |" in text
    assert "| 1 | 41.00 | 0.1000 | 1.0000 | yes |" in text
    picture = cv2.imdecode(np.frombuffer(choice_chart(choice), np.uint8), cv2.IMREAD_COLOR)
    red = (picture[..., 2] > 150) & (picture[..., 1] < 80)
    blue = (picture[..., 0] > 140) & (picture[..., 2] < 100)
    assert red.sum() > 3 * blue.sum() > 0, "the longer bar stays float"


def test_the_range_report_finds_a_planted_overflow(tmp_path: Path, video_path: Path, capsys: Capture) -> None:
    planted = initial_checkpoint("nano", seed=1, random_head=True)
    block = FrameModel(planted.model).get_submodule("network.branches.2.blocks.0")
    block.conv1.bias.data += 0.3
    for parameter in (block.conv1.weight, block.conv1.bias):
        parameter.data *= 2e5
    block.conv2.weight.data /= 2e5
    save_checkpoint(planted, tmp_path / "planted.pt")
    arguments = [str(tmp_path / "planted.pt"), "--fp16", "--range-report", "--calib", str(video_path)]
    arguments += ["--calib-frames", "4", "--size", SIZE_TEXT, "--output", str(tmp_path)]
    plan = ["--target", "sm_86", "--flavour", "rtx"]
    if importlib.util.find_spec("tensorrt_rtx") is None:
        plan = ["--onnx-only"]
    assert main([*arguments, *plan, "--verify", str(video_path), "--verify-frames", "4"]) == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    assert "kept in float32, at risk in FP16: network.branches.2.blocks.0" in text
    stem = tmp_path / f"planted-{SIZE_TEXT}-fp16"
    report = json.loads(stem.with_suffix(".ranges.json").read_text())
    assert report["tensors"][0]["risk"] == "overflow"
    assert report["tensors"][0]["largest"] > 65504
    risky = [tensor["node"] for tensor in report["tensors"] if tensor["risk"]]
    assert any(node.startswith("network.branches.2.blocks.0.conv1/") for node in risky)
    assert all(node.startswith("network.branches.2.blocks.0") for node in risky), risky
    assert "| overflow |" in stem.with_suffix(".ranges.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--int8"], "INT8 needs sequences to calibrate on: --calib VIDEO_OR_DATASET"),
        (["--range-report"], "a range report needs sequences to measure: --calib"),
        (["--fp16", "--calib", "VIDEO"], "calibration data is for --int8 or for --range-report; leave it out"),
        (["--fp32", "--range-report", "--calib", "VIDEO"], "a range report is about half precision"),
        (["--int8", "--calib", "gone"], "gone: no such video or dataset to calibrate on"),
        (["--int8", "--calib", "EMPTY"], "no frames to calibrate on; expected a video, or pictures"),
        (
            ["--int8", "--calib", "VIDEO", "--size", "64x64"],
            f"frames are {SIZE_TEXT}, the graph takes 64x64; export",
        ),
        (["--int8", "--calib", "VIDEO", "--calib-frames", "13"], "ran out after 12 frames, 13 are wanted"),
        (["--int8", "--calib", "VIDEO", "--calib-frames", "1"], "1 calibration frames; expected at least 2"),
        (["--int8", "--calib", "VIDEO", "--exclude", "heads"], "--exclude heads: matches no convolution"),
        (["--exclude", "head"], "--exclude needs --calib VIDEO_OR_DATASET"),
        (["--int8", "--calib", "VIDEO", "--budget-frames", "1"], "budget_frames is 1; expected at least 2"),
    ],
)
def test_one_line_errors(
    checkpoint_path: Path,
    video_path: Path,
    tmp_path: Path,
    capsys: Capture,
    arguments: list[str],
    text: str,
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    places = {"VIDEO": str(video_path), "EMPTY": str(empty)}
    arguments = [places.get(argument, argument) for argument in arguments]
    size = [] if "--size" in arguments else ["--size", SIZE_TEXT]
    output = tmp_path / "out"
    assert main([str(checkpoint_path), "--onnx-only", "--output", str(output), *size, *arguments]) == 1
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
    assert not output.exists() or list(output.iterdir()) == []


def test_matplotlib_is_asked_for_before_any_work(
    checkpoint_path: Path, video_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("mostnet.export.evidence.find_spec", lambda name: None)
    monkeypatch.setattr("mostnet.export.exporter.load_either", lambda path: pytest.fail("work was done first"))
    assert main(int8(checkpoint_path, video_path, tmp_path, "--onnx-only", "--accuracy-budget")) == 1
    assert "draws a chart with matplotlib: pip install 'mostnet[plot]'" in capsys.readouterr().err


def test_tensorrt_must_parse_what_was_quantised(half: onnx.ModelProto, checkpoint_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX has no wheel for this machine")
    stem, head = "network.extractor.stem.0", "network.branches.0.head"
    graph = quantise(half, {stem: 1.0})
    islands = float32_islands(load_checkpoint(checkpoint_path))
    for int8_modules, text in (((stem, head), f"{head}/\\S+ is not INT8"), ((), f"{stem}/\\S+ is INT8")):
        request = PlanRequest.of(graph, metadata=None, floats="fp16", islands=islands, int8=int8_modules)
        with pytest.raises(ExportError, match=text):
            build_plan(Toolchain(trt, "rtx", ("sm_86",)), graph.SerializeToString(), request)


@pytest.mark.parametrize(
    ("frames", "chosen"),
    [
        (2, ["00"]),
        (4, ["0000"]),
        (11, ["0000", "2222"]),
        (16, ["0000", "1111", "2222", "3333"]),
        (90, ["0000", "0000", "1111", "1111", "2222", "2222", "3333", "3333"]),
    ],
)
def test_layers_are_judged_on_runs_of_many_sequences(tmp_path: Path, frames: int, chosen: list[str]) -> None:
    """Runs of four frames: in runs of two, half the frames would have no past."""
    for sequence in range(4):
        folder = tmp_path / "train" / str(sequence) / "input"
        folder.mkdir(parents=True)
        for i in range(9):
            cv2.imwrite(str(folder / f"{i:06}.png"), np.full((64, 96, 3), 10 * sequence, np.uint8))
    runs = runs_of(CalibrationData(tmp_path, (64, 96), 32), frames)
    assert ["".join(str(frame[0, 0, 0] // 10) for frame in run) for run in runs] == chosen


def test_one_long_video_gives_runs_from_all_of_it(video_path: Path) -> None:
    data = CalibrationData(video_path, SIZE, 12)
    (frames,) = [list(sequence) for sequence in data.sequences()]
    runs = runs_of(data, 8)
    assert [len(run) for run in runs] == [4, 4]
    assert np.array_equal(runs[1], frames[4:8])
