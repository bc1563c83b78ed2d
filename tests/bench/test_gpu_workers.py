"""Cases as they are prepared here, and the workers on them, on the CPU; plans for a GPU are built without one."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest

from mostnet.bench.gpu import build as gpu_build
from mostnet.bench.gpu.accuracy import compare_outputs
from mostnet.bench.gpu.build import build, check_sampling
from mostnet.bench.gpu.build import main as build_main
from mostnet.bench.gpu.cases import Case, read_facts
from mostnet.bench.gpu.engine_worker import EngineWorker
from mostnet.bench.gpu.link import ProcessLink
from mostnet.bench.gpu.measure import Measurement
from mostnet.bench.gpu.options import ReportOptions
from mostnet.bench.gpu.prepare import main as prepare_main
from mostnet.bench.gpu.rows import find_row
from mostnet.bench.gpu.serve import limited, serve
from mostnet.bench.gpu.torch_worker import TorchWorker
from mostnet.contract import ExportError, MeasurementError, PlanInfo
from mostnet.export.plan_layers import PlanLayer
from mostnet.export.plan_report import read_counts

CASE = Case("nano", (64, 96))
FRAMES = 12

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="TensorRT for RTX has no wheel for this machine"
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cases")
    assert prepare_main([str(root), "--only", "nano-64x96", "--frames", str(FRAMES)]) == 0
    return root


@pytest.fixture(scope="module")
def folder(cases: Path) -> Path:
    return cases / CASE.name


def test_a_prepared_case(cases: Path, folder: Path) -> None:
    facts = read_facts(folder)
    assert (facts["opset"], facts["frames"]) == (17, FRAMES)
    graph = onnx.load(folder / "case.onnx")
    assert graph.opset_import[0].version == 17
    assert facts["weight_bytes"] == sum(onnx.numpy_helper.to_array(t).nbytes for t in graph.graph.initializer)
    assert facts["least_bytes"] > facts["weight_bytes"] + 2 * 64 * 96 * 3 + 2 * 4 * 64 * 96
    assert 5e7 < facts["flops"] < 1e8  # 3.2 GFLOP at fifty times the pixels
    assert set(json.loads((folder / "types.json").read_text()).values()) == {"FLOAT", "HALF"}
    with np.load(folder / "reference.npz") as reference:
        assert {name: reference[name].shape for name in reference.files} == {
            "enhanced": (FRAMES, 64, 96, 3),
            "flow": (FRAMES, 2, 64, 96),
            "mask": (FRAMES, 64, 96),
        }
        moved = np.abs(reference["enhanced"].astype(int) - np.load(folder / "frames.npy")).mean()
    assert moved > 2, "a network that does nothing proves nothing"
    before = (folder / "case.json").stat().st_mtime_ns
    assert prepare_main([str(cases), "--only", "nano-64x96"]) == 0
    assert (folder / "case.json").stat().st_mtime_ns == before, "a complete case is not made again"
    with pytest.raises(MeasurementError, match="not prepared; run python -m"):
        read_facts(cases / "sw-480x640-fp16")


@pytest.mark.parametrize("name", ["warp-fp32", "warp-fp16"])
def test_the_warp_keeps_its_island(cases: Path, name: str) -> None:
    """ONNX Runtime within the tolerance of the GPU test, and a half-precision grid far outside of it."""
    with np.load(cases / name / "arrays.npz") as arrays:
        features, flow, wanted = (arrays[key] for key in ("features", "flow", "warped"))
    session = onnxruntime.InferenceSession(str(cases / name / "case.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"features": features, "flow": flow})
    tolerance = {"warp-fp32": 2e-3, "warp-fp16": 6e-3}[name]
    assert found.dtype == features.dtype
    assert np.abs(found.astype(np.float64) - wanted).max() <= tolerance
    (rough,) = session.run(
        None, {"features": features, "flow": (flow + 600).astype(np.float16).astype(np.float32) - 600}
    )
    assert np.abs(rough.astype(np.float64) - wanted).max() > 50 * tolerance


@needs_rtx
def test_plans_are_built_and_described_without_a_gpu(
    cases: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(cases / "warp-fp16"), str(folder)]
    assert build_main([*folders, "--flavour", "rtx", "--target", "sm_86"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "convolutions" in line]
    assert len(told) == 1, "a warp has none"
    assert told[0].startswith(f"{folder}: what the convolutions run in was not looked at: no NVIDIA driver")
    assert not (folder / "case.layers.json").exists()
    assert (cases / "warp-fp16" / "case.plan").stat().st_size > 10_000
    info = PlanInfo.from_json((folder / "case.plan.json").read_text(), source="plan")
    assert (info.flavour, info.targets, info.size_hw) == ("rtx", ("sm_86",), CASE.size_hw)


def test_what_convolutions_run_in_is_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = json.loads((folder / "convolutions.json").read_text())
    assert len(asked) == 48 and set(asked.values()) == {"FP16"}
    layers = tuple(PlanLayer(node, "CaskConvolution", ("Half",)) for node in list(asked)[1:])
    monkeypatch.setattr(gpu_build, "inspect_plan", lambda trt, plan, targets: layers)
    (tmp_path / "convolutions.json").write_text(json.dumps(asked))
    (tmp_path / "case.plan").write_bytes(b"plan")
    trt = SimpleNamespace(__name__="tensorrt", __version__="8.6.1")
    lines = gpu_build.inspect(trt, tmp_path, b"plan", "sm_90")
    assert lines[0] == "47 of 48 FP16 convolutions run in FP16; 1 not found under their names"
    assert read_counts(tmp_path / "case.plan") == {"not found": 1, "FP16": 47}


@needs_rtx
def test_the_parsed_warp_samples_linearly(cases: Path, tmp_path: Path) -> None:
    import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(logger).create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, logger).parse((cases / "warp-fp16" / "case.onnx").read_bytes())
    assert check_sampling(trt, network) == 1
    graph = onnx.load(cases / "warp-fp16" / "case.onnx")
    node = next(n for n in graph.graph.node if n.op_type == "GridSample")
    mode = next(a for a in node.attribute if a.name == "mode")
    mode.CopyFrom(onnx.helper.make_attribute("mode", "nearest"))
    onnx.save(graph, tmp_path / "case.onnx")
    with pytest.raises(ExportError, match="NEAREST, not linear; export at opset 19 or 17"):
        build(trt, tmp_path)
    (tmp_path / "case.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match="cannot parse the graph"):
        build(trt, tmp_path)


def test_engine_worker(folder: Path, tmp_path: Path) -> None:
    worker = EngineWorker(folder, part="ort", provider="cpu")
    assert worker.info()["methods"] == ("infer", "stream")
    for method in ("infer", "stream", "enqueue", "enqueue+copies"):
        worker.open(method)
        answer = worker.round(method, 11, 30.0)
        assert answer["fps"] > 0
        assert len(answer.get("samples_ms", range(11))) == 11
        if method in ("infer", "enqueue+copies"):
            assert answer["fps"] == pytest.approx(11e3 / sum(answer["samples_ms"]), rel=0.2)
    assert worker.outputs(str(tmp_path / "outputs.npz")) == {"frames": FRAMES}
    found = compare_outputs(tmp_path / "outputs.npz", folder / "reference.npz", "fp16")
    assert (found["frames"], found["broken_frames"], found["finite"]) == (FRAMES, [], True)
    assert found["psnr_db"] > 45
    assert abs(worker.soak(30)["python_blocks"]) < 1000
    worker.close()
    worker.close()


def test_wrong_outputs_are_seen(folder: Path, tmp_path: Path) -> None:
    with np.load(folder / "reference.npz") as reference:
        arrays = {name: reference[name].copy() for name in reference.files}
    arrays["flow"][4] += 0.2
    arrays["enhanced"][7] = 255 - arrays["enhanced"][7]
    np.savez(tmp_path / "outputs.npz", finite=np.arange(FRAMES) != 2, **arrays)
    found = compare_outputs(tmp_path / "outputs.npz", folder / "reference.npz", "fp16")
    assert found["broken_frames"] == [2, 4, 7]
    assert not found["finite"]
    assert found["epe_px"] == pytest.approx(0.2 * 2**0.5, rel=1e-3)


def test_torch_worker(folder: Path) -> None:
    worker = TorchWorker(folder, device="cpu")
    worker.open("eager-fp32")
    answer = worker.round("eager-fp32", 10, 5.0)
    assert answer["fps"] > 0 and answer["fps_with_copies"] > 0
    assert len(answer["samples_ms"]) == 10
    assert worker.peaks(side=64, copy_bytes=1 << 16).keys() == {"matmul_tflop_s", "memcpy_gb_s"}
    worker.close()


def test_a_whole_report_through_processes(cases: Path, folder: Path, tmp_path: Path) -> None:
    def start(part: str, python: str, folder: Path, log: Path) -> ProcessLink:
        module = {"ort": "gpu_engine", "torch": "gpu_torch"}[part]
        command = [python, "-m", f"mostnet.bench.{module}", str(folder), "--part", part, "--device", "cpu"]
        return ProcessLink(command, log)

    options = ReportOptions(
        out=tmp_path, cases=cases, only=(CASE,), pythons={"ort": sys.executable}, rounds=2, frames=10, seconds=20.0
    )
    measurement = Measurement(options, start=start, gpu=dict)
    assert measurement.run(), (tmp_path / "log.txt").read_text()
    record = measurement.document["cases"][CASE.name]
    for method in ("infer", "stream"):
        row = find_row(record, "ort", method)
        assert row is not None and row["samples"] == 20 and row["p50_ms"] <= row["p99_ms"]
    assert "onnxruntime" in measurement.document["versions"]["ort"]


def test_a_worker_answers_errors_and_goes_on() -> None:
    def fail(**_: object) -> dict[str, object]:
        raise ValueError("a reason")

    answers = io.StringIO()
    requests = io.StringIO('{"do": "fail", "x": 1}\n{"do": "echo", "x": 2}\n{"do": "other"}\n')
    serve({"fail": fail, "echo": lambda x: {"x": x}}, requests, answers)
    assert [json.loads(line) for line in answers.getvalue().splitlines()] == [
        {"failed": "ValueError: a reason"},
        {"done": {"x": 2}},
        {"failed": "KeyError: 'other'"},
    ]


def test_rounds_are_limited_by_time_but_have_ten_frames() -> None:
    assert list(limited([1, 2, 3], count=4, seconds=60.0)) == [1, 2, 3, 1]
    assert len(list(limited([1], count=10_000_000, seconds=0.0))) == 10
