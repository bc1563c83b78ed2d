"""Lines and file of an export on the types in which its plan's convolutions run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from mostnet.contract import InspectionError, sha256
from mostnet.export import ExportOptions, export, exporter
from mostnet.export.cli import main
from mostnet.export.plan import writer
from mostnet.export.plan.layers import PlanLayer
from mostnet.export.plan.report import read_counts
from mostnet.export.plan.request import asked_types

from .conftest import SIZE, SIZE_TEXT

HEAD = "network.branches.0.head"
ISLAND = "network.branches.1.gradient_step"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def inspected(half: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Make the inspector tell FP16 for every convolution of the usual graph, except for modules of another type."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX has no wheel for this machine")

    def tell(others: dict[str, str]) -> None:
        others = {ISLAND: "Float", **others}

        def inspect(trt: object, plan: bytes, *, targets: tuple[str, ...]) -> tuple[PlanLayer, ...]:
            assert len(plan) > 500_000
            assert targets == ("sm_86",)
            nodes = [node.name for node in half.graph.node if node.op_type == "Conv"]
            return tuple(
                PlanLayer(node, "CaskConvolution", (others.get(node.rpartition("/")[0], "Half"),)) for node in nodes
            )

        monkeypatch.setattr(writer, "inspect_plan", inspect)

    return tell


def arguments(checkpoint: Path, output: Path, *more: str) -> list[str]:
    usual = [str(checkpoint), "--size", SIZE_TEXT, "--output", str(output), "--flavour", "rtx", "--target", "sm_86"]
    return [*usual, *more]


def test_asked_types(half: onnx.ModelProto) -> None:
    first = next(node.name for node in half.graph.node if node.op_type == "Conv")
    asked = asked_types(half, floats="fp16", int8=(HEAD,), kept=(first, "network.another/relu"))
    assert len(asked) == 56
    wide = [node.rpartition("/")[0] for node, kind in asked.items() if kind == "FP32"]
    assert wide == [first.rpartition("/")[0], ISLAND], "a node to keep, and the convolution of a float32 island"
    assert [node.rpartition("/")[0] for node, kind in asked.items() if kind == "INT8"] == [HEAD]
    assert sum(kind == "FP16" for kind in asked.values()) == 53


def test_an_export_tells_and_writes_what_runs(
    checkpoint_path: Path, tmp_path: Path, inspected: Callable[[dict[str, str]], None], capsys: Capture
) -> None:
    inspected({})
    assert main(arguments(checkpoint_path, tmp_path)) == 0
    plan = tmp_path / f"tiny-{SIZE_TEXT}-fp16.plan"
    counts = "55 of 55 FP16 convolutions run in FP16; 1 of 1 FP32 convolutions run in FP32"
    line = f"{plan.name}: {counts}; 0 not found under their names\n"
    assert line in capsys.readouterr().out
    document = json.loads(plan.with_suffix(".layers.json").read_text())
    assert document["plan_sha256"] == sha256(plan)
    assert document["tensorrt"].startswith("tensorrt_rtx 1.")
    assert len(document["convolutions"]) == len(document["layers"]) == 56
    assert read_counts(plan) == {"FP16": 55, "FP32": 1}


def test_int8_that_runs_otherwise_is_a_warning(
    checkpoint_path: Path,
    video_path: Path,
    tmp_path: Path,
    inspected: Callable[[dict[str, str]], None],
    capsys: Capture,
) -> None:
    inspected({"network.branches.1.head": "Int8", "network.branches.2.head": "Int8"})
    most = ["extractor", "estimators", "match_heads", "fuse", "blocks", "from_coarser", "remember", "colour"]
    most += ["residual"]
    more = [word for name in most for word in ("--exclude", name)]
    more += ["--int8", "--calib", str(video_path), "--calib-frames", "4"]
    assert main(arguments(checkpoint_path, tmp_path, *more)) == 0
    text = capsys.readouterr().out
    assert "2 of 3 INT8 convolutions run in INT8; 52 of 52 FP16 convolutions run in FP16; 1 of 1 FP32 " in text
    assert f"WARNING: INT8 in the graph, but not run in INT8 by TensorRT: {HEAD} FP16\n" in text
    assert read_counts(tmp_path / f"tiny-{SIZE_TEXT}-int8.plan") == {"FP16": 53, "FP32": 1, "INT8": 2}


def test_without_a_gpu_it_says_so_and_an_older_report_does_not_count(
    checkpoint_path: Path,
    tmp_path: Path,
    inspected: Callable[[dict[str, str]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    def none(*_: object, **__: object) -> None:
        raise InspectionError("no NVIDIA driver [/here]; inspecting the plan needs a GPU that it was built for (sm_86)")

    monkeypatch.setattr(writer, "inspect_plan", none)
    name = f"tiny-{SIZE_TEXT}-fp16"
    older = tmp_path / f"{name}.layers.json"
    older.write_text(json.dumps({"format_version": 1, "plan_sha256": "of another", "runs": {"FP16": 51}}))
    assert main(arguments(checkpoint_path, tmp_path)) == 0
    text = capsys.readouterr().out
    reason = "no NVIDIA driver [/here]; inspecting the plan needs a GPU that it was built for (sm_86)"
    assert f"{name}.plan: the types of its convolutions are unknown: {reason}\n" in text
    assert f"{name}.layers.json is from an earlier plan and was not changed" in text
    assert read_counts(tmp_path / f"{name}.plan") is None


def test_a_failed_verification_publishes_no_layers(
    checkpoint_path: Path,
    tmp_path: Path,
    inspected: Callable[[dict[str, str]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise InterruptedError

    inspected({})
    monkeypatch.setattr(exporter, "_verify", fail)
    options = ExportOptions(size_hw=SIZE, output=tmp_path, flavour="rtx", targets=("sm_86",))
    with pytest.raises(InterruptedError):
        export(checkpoint_path, options)
    assert list(tmp_path.iterdir()) == []
