"""Plans of cases, built without a GPU by the code that builds the plans of ``mostnet-export``."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from mostnet.bench.gpu import build
from mostnet.bench.gpu.cases import is_built
from mostnet.contract import ExportError, PlanInfo, sha256
from mostnet.export import ExportOptions, export, exporter
from mostnet.export.plan.request import PlanRequest

from .conftest import CASE

RTX = ["--flavour", "rtx", "--target", "sm_86"]

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="TensorRT for RTX has no wheel for this machine"
)

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def case(folder: Path, tmp_path: Path) -> Path:
    """A copy of the case to change, without a plan."""
    return Path(shutil.copytree(folder, tmp_path / "case", ignore=shutil.ignore_patterns("case*.plan*")))


def change_request(case: Path, **changes: object) -> None:
    path = case / "request.json"
    request = PlanRequest.from_json(path.read_text(), source="request")
    path.write_text(replace(request, **changes).to_json())


@needs_rtx
def test_plans_are_built_and_described_without_a_gpu(cases: Path, folder: Path, capsys: Capture) -> None:
    assert build.main([str(cases / "warp-fp16"), str(folder), *RTX]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "convolutions" in line]
    assert len(told) == 1, "a warp has none"
    assert told[0].startswith(f"{folder}: the types of its convolutions are unknown: no NVIDIA driver")
    assert not (folder / "case-rtx.layers.json").exists()
    assert (cases / "warp-fp16" / "case-rtx.plan").stat().st_size > 10_000
    plan = folder / "case-rtx.plan"
    info = PlanInfo.from_json((folder / "case-rtx.plan.json").read_text(), source="plan")
    assert (info.flavour, info.targets, info.size_hw) == ("rtx", ("sm_86",), CASE.size_hw)
    assert info.plan_sha256 == sha256(plan)
    assert is_built(folder, "rtx") and not is_built(folder, "tensorrt")
    assert not is_built(cases / "warp-fp16", "rtx"), "a plan without a description"
    before = plan.stat().st_mtime_ns
    assert build.main([str(folder), *RTX]) == 0
    assert plan.stat().st_mtime_ns == before, "it is built already"


def test_without_a_target_the_toolchain_chooses_the_gpu_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    asked = []

    def find(flavour: str, targets: tuple[str, ...] | None) -> None:
        asked.append((flavour, targets))
        raise ExportError("enough")

    monkeypatch.setattr(build, "gpu_architecture", lambda: "sm_90")
    monkeypatch.setattr(build, "find_toolchain", find)
    for arguments in (["--flavour", "rtx"], [], RTX):
        assert build.main([str(tmp_path), *arguments]) == 1
    assert asked == [("rtx", None), ("tensorrt", None), ("rtx", ("sm_86",))]


@needs_rtx
def test_the_level_of_the_search_reaches_the_builder(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def write(*args: object, optimization_level: int | None, **options: object) -> list[str]:
        asked.append(optimization_level)
        raise ExportError("enough")

    monkeypatch.setattr(build, "write_plan", write)
    for arguments in ([], ["--optimization-level", "0"]):
        assert build.main([str(cases / "warp-fp16"), "--again", *RTX, *arguments]) == 1
    assert asked == [None, 0]


def test_the_report_measures_plans_of_the_exporter() -> None:
    assert build.write_plan is exporter.write_plan


@needs_rtx
def test_a_failing_check_refuses_the_plan_in_the_report_and_in_an_export(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A graph with float32 outside the allowed islands."""
    refusal = r"network\.resize_flow/\S+ is float32 outside the float32 islands"
    request = PlanRequest.from_json((case / "request.json").read_text(), source="request")
    fewer = tuple(name for name in request.islands if name != "network.resize_flow")
    change_request(case, islands=fewer)
    before = sorted(case.iterdir())
    assert build.main([str(case), *RTX]) == 1
    assert re.search(refusal, capsys.readouterr().err)
    assert sorted(case.iterdir()) == before
    monkeypatch.setattr("mostnet.export.precision.float32_islands", lambda checkpoint: fewer)
    options = ExportOptions(size_hw=CASE.size_hw, output=tmp_path / "out", flavour="rtx", targets=("sm_86",))
    with pytest.raises(ExportError, match=refusal):
        export(case / "case.pt", options)
    assert list((tmp_path / "out").iterdir()) == []


@needs_rtx
def test_a_warp_that_samples_the_nearest_pixel_is_refused(cases: Path, tmp_path: Path, capsys: Capture) -> None:
    warp = Path(shutil.copytree(cases / "warp-fp16", tmp_path / "warp"))
    graph = onnx.load(warp / "case.onnx")
    node = next(n for n in graph.graph.node if n.op_type == "GridSample")
    mode = next(a for a in node.attribute if a.name == "mode")
    mode.CopyFrom(onnx.helper.make_attribute("mode", "nearest"))
    onnx.save(graph, warp / "case.onnx")
    assert build.main([str(warp), *RTX]) == 1
    assert "samples InterpolationMode.NEAREST, not linear" in capsys.readouterr().err
    (warp / "case.onnx").write_bytes(b"no graph")
    assert build.main([str(warp), *RTX]) == 1
    assert "cannot parse the graph" in capsys.readouterr().err


@needs_rtx
@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "not prepared; run python -m mostnet.bench.gpu.prepare"),
        ("{", "not a plan request"),
        ("[]", "not a plan request"),
        ('{"metadata": null}', "not a plan request"),
    ],
)
def test_one_line_errors(case: Path, text: str | None, error: str, capsys: Capture) -> None:
    (case / "request.json").unlink()
    if text is not None:
        (case / "request.json").write_text(text)
    assert build.main([str(case), *RTX]) == 1
    told = capsys.readouterr().err
    assert error in told
    assert told.count("\n") == 1


def test_building_needs_only_tensorrt_and_numpy() -> None:
    blocked = ["torch", "onnx", "cv2", "av", "rich", "matplotlib", "onnxruntime"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked})); "
        "import mostnet.bench.gpu.workers.engine_worker, mostnet.bench.gpu.build, mostnet.bench.gpu.report"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
