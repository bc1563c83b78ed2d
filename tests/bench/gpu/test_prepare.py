"""The files of a prepared case, and the graph of one warp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from mostnet.bench.gpu.cases import is_prepared, read_facts
from mostnet.bench.gpu.prepare import main
from mostnet.contract import MeasurementError
from mostnet.export.plan.request import PlanRequest

from .conftest import FRAMES


def test_a_prepared_case(cases: Path, folder: Path) -> None:
    facts = read_facts(folder)
    assert (facts["opset"], facts["frames"]) == (17, FRAMES)
    graph = onnx.load(folder / "case.onnx")
    assert graph.opset_import[0].version == 17
    assert facts["weight_bytes"] == sum(onnx.numpy_helper.to_array(t).nbytes for t in graph.graph.initializer)
    assert facts["least_bytes"] > facts["weight_bytes"] + 2 * 64 * 96 * 3 + 2 * 4 * 64 * 96
    assert 5e7 < facts["flops"] < 1e8  # 3.2 GFLOP at fifty times the pixels
    with np.load(folder / "reference.npz") as reference:
        assert {name: reference[name].shape for name in reference.files} == {
            "enhanced": (FRAMES, 64, 96, 3),
            "flow": (FRAMES, 2, 64, 96),
            "mask": (FRAMES, 64, 96),
        }
        moved = np.abs(reference["enhanced"].astype(int) - np.load(folder / "frames.npy")).mean()
    assert moved > 2, "a network that does nothing proves nothing"
    before = (folder / "case.json").stat().st_mtime_ns
    assert main([str(cases), "--only", "nano-64x96"]) == 0
    assert (folder / "case.json").stat().st_mtime_ns == before, "a complete case is not made again"
    with pytest.raises(MeasurementError, match="not prepared; run python -m"):
        read_facts(cases / "sw-480x640-fp16")


def test_the_request_matches_the_graph(folder: Path) -> None:
    request = PlanRequest.from_json((folder / "request.json").read_text(), source="request")
    graph = onnx.load(folder / "case.onnx")
    assert request == PlanRequest.of(graph, metadata=request.metadata, floats="fp16", islands=request.islands)
    assert request.metadata is not None and request.metadata.size_hw == (64, 96)
    assert "network.resize_flow" in request.islands
    assert len(request.convolutions) == 48 and set(request.convolutions.values()) == {"FP16"}
    assert set(request.tensor_types.values()) == {"FLOAT", "HALF"}


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
