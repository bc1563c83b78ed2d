"""The files of a prepared case, and the graph of one warp."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from mostnet.bench.gpu.cases import Case, is_prepared, read_facts
from mostnet.bench.gpu.content import back_and_forth, make_content
from mostnet.bench.gpu.prepare import main, prepare
from mostnet.contract import MeasurementError, sha256
from mostnet.export.plan.request import PlanRequest
from mostnet.model import load_checkpoint

from .conftest import FRAMES


def test_a_prepared_case(cases: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = read_facts(folder)
    assert (facts["opset"], facts["frames"]) == (17, FRAMES)
    graph = onnx.load(folder / "case.onnx")
    assert graph.opset_import[0].version == 17
    assert facts["weight_bytes"] == sum(onnx.numpy_helper.to_array(t).nbytes for t in graph.graph.initializer)
    assert facts["least_bytes"] > facts["weight_bytes"] + 2 * 64 * 96 * 3 + 2 * 4 * 64 * 96
    assert 5e7 < facts["flops"] < 1e8  # 3.2 GFLOP at fifty times the pixels
    with np.load(folder / "reference.npz") as reference:
        assert {name: reference[name].shape for name in reference.files} == {
            "enhanced": (FRAMES, 64, 112, 3),
            "flow": (FRAMES, 2, 64, 112),
            "mask": (FRAMES, 64, 112),
        }
        moved = np.square(reference["enhanced"].astype(float) - np.load(folder / "frames.npy")).mean() ** 0.5
        tooth = (reference["mask"] >= 128).mean(axis=(1, 2))
        flow_px = np.hypot(*np.moveaxis(reference["flow"], 1, 0)).mean()
    assert moved > 255 * 10 ** (-45 / 20) and flow_px > 1 and 0.05 < tooth.min() <= tooth.max() < 0.95, (
        "it would prove nothing"
    )
    assert facts["activity"] == pytest.approx(
        {"picture_levels": moved, "flow_px": flow_px, "foreground": tooth.mean()}, rel=1e-5
    )
    before = (folder / "case.json").stat().st_mtime_ns
    assert main([str(cases), "--only", "nano-64x112", "--frames", "40"]) == 0
    assert capsys.readouterr().out == f"{folder}: kept, with {FRAMES} frames; --again makes it again\n"
    assert (folder / "case.json").stat().st_mtime_ns == before, "a complete case is not made again"
    with pytest.raises(MeasurementError, match="not prepared; run python -m"):
        read_facts(cases / "sw-480x640-fp16")


def test_nano_is_judged_with_the_shipped_weights_on_teeth(folder: Path) -> None:
    facts = read_facts(folder)
    shipped = files("mostnet") / "weights" / "nano.pt"
    assert facts["weights"] == "shipped nano, trained"
    assert facts["checkpoint_sha256"] == hashlib.sha256(shipped.read_bytes()).hexdigest() == sha256(folder / "case.pt")
    assert facts["scene"] == "synthetic teeth in motion, seed 1"
    request = PlanRequest.from_json((folder / "request.json").read_text(), source="request")
    assert request.metadata is not None and request.metadata.trained


def test_networks_outside_the_package_get_seeded_weights_and_a_texture(tmp_path: Path) -> None:
    content = make_content(Case.parse("dw-800x800"), tmp_path / "case.pt", 2)
    assert (content.weights, content.scene) == ("seeded, untrained", "moving texture, seed 1")
    assert [frame.shape for frame in content.frames] == [(800, 800, 3)] * 2
    checkpoint = load_checkpoint(tmp_path / "case.pt")
    assert (checkpoint.variant, checkpoint.training) == ("dw", None)


def test_a_long_case_shows_its_scene_forwards_and_backwards() -> None:
    assert list(back_and_forth(3, 7)) == [0, 1, 2, 1, 0, 1, 2]
    assert list(back_and_forth(5, 5)) == [0, 1, 2, 3, 4]
    assert list(back_and_forth(1, 3)) == [0, 0, 0]


def test_a_reference_that_proves_little_makes_no_case(tmp_path: Path) -> None:
    """The first frame has no flow."""
    little = (
        r"nano-64x112-fp16: its reference proves little \(the flow is 0\.00 px long, under 1\); use more frames or a"
    )
    with pytest.raises(MeasurementError, match=little):
        prepare(tmp_path, Case("nano", (64, 112)), opset=17, count=1)
    assert list(tmp_path.iterdir()) == []


def test_a_case_needs_pytorch_and_onnx_alone(tmp_path: Path) -> None:
    """A GPU machine may lack the libraries of plots, recipes and the CPU."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'yaml', 'onnxruntime', 'tensorrt_rtx'])); "
        f"from mostnet.bench.gpu.prepare import main; sys.exit(main([{str(tmp_path)!r}, '--only', 'nano-64x112', "
        "'--frames', '4', '--no-warps']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert is_prepared(tmp_path / "nano-64x112-fp16")


def test_the_request_matches_the_graph(folder: Path) -> None:
    request = PlanRequest.from_json((folder / "request.json").read_text(), source="request")
    graph = onnx.load(folder / "case.onnx")
    assert request == PlanRequest.of(graph, metadata=request.metadata, floats="fp16", islands=request.islands)
    assert request.metadata is not None and request.metadata.size_hw == (64, 112)
    assert "network.resize_flow" in request.islands
    assert len(request.convolutions) == 56 and set(request.convolutions.values()) == {"FP16", "FP32"}
    assert set(request.tensor_types.values()) == {"FLOAT", "HALF"}
    assert sum("warp/grid_sampler" in name for name in request.wide) == 5
    inside = {name for name, kind in request.convolutions.items() if kind == "FP32"}
    assert {name.rpartition("/")[0] for name in inside} == {"network.branches.1.gradient_step"}
    assert set(request.wide) & set(request.convolutions) == inside
    assert PlanRequest.from_json(request.to_json(), source="request") == request


@pytest.mark.parametrize("name", ["warp-fp32", "warp-fp16"])
def test_the_warp_keeps_its_island(cases: Path, name: str) -> None:
    """ONNX Runtime is within the tolerance of the GPU test. A half-precision grid is far outside of it."""
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


def test_a_case_without_a_request_is_not_prepared(tmp_path: Path) -> None:
    """An earlier version wrote such cases."""
    (tmp_path / "case.json").touch()
    assert not is_prepared(tmp_path)
    (tmp_path / "request.json").touch()
    assert is_prepared(tmp_path)
