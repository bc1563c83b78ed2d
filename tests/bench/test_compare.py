"""Engines of the same weights in other precisions: how they are found, timed and ranked."""

from __future__ import annotations

from pathlib import Path

import pytest

from mostnet.bench.compare import compare_precisions, sibling_files
from mostnet.bench.frames import load_frames
from mostnet.bench.measure import Loop
from mostnet.bench.report import PrecisionTimings
from mostnet.bench.table import _precisions
from mostnet.bench.timings import Timings
from mostnet.engine import Engine
from mostnet.engine.options import Options
from mostnet.export import ExportOptions, export
from mostnet.model import initial_checkpoint, save_checkpoint

SIZE = (64, 96)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one checkpoint in two precisions, and another checkpoint under the name of its third."""
    folder = tmp_path_factory.mktemp("engines")
    for seed, name in ((1, "one"), (2, "two")):
        save_checkpoint(initial_checkpoint("nano", seed=seed, random_head=True), folder / f"{name}.pt")
    for name, precision in (("one", "fp32"), ("one", "fp16"), ("two", "fp16")):
        options = ExportOptions(precision=precision, size_hw=SIZE, output=folder, onnx_only=True)
        export(folder / f"{name}.pt", options)
    (folder / "two-64x96-fp16.onnx").rename(folder / "one-64x96-int8.onnx")
    return folder


def test_siblings_by_name(tmp_path: Path) -> None:
    for name in ("a-fp16.onnx", "a-int8.onnx", "a-fp32.plan", "b-fp32.onnx"):
        (tmp_path / name).touch()
    assert [p.name for p in sibling_files(tmp_path / "a-fp16.onnx", "fp16")] == ["a-int8.onnx"]
    assert sibling_files(tmp_path / "a.onnx", "fp16") == []


def test_only_the_same_weights_are_timed(engines: Path) -> None:
    path = engines / "one-64x96-fp16.onnx"
    frames = load_frames(None, SIZE, limit=10, seed=0)
    ticks: list[int] = []
    with Engine(path, threads=1) as engine:
        found = compare_precisions(path, engine, Options(threads=1), frames, Loop(12, 1, ticks.append))
    assert [(one.precision, one.file) for one in found] == [
        ("fp16", "one-64x96-fp16.onnx"),
        ("fp32", "one-64x96-fp32.onnx"),
    ]
    assert [len(one.timings.samples_ms) for one in found] == [12, 12]
    assert found[1].megabytes > found[0].megabytes > 0.5
    assert ticks == [5, 10, 12]


def timed(precision: str, ms: float, convolutions: dict[str, int] | None = None) -> PrecisionTimings:
    return PrecisionTimings("f", precision, 1.0, Timings.of([ms] * 10), convolutions)


def test_a_slow_int8_is_reported() -> None:
    assert _precisions((timed("fp16", 4), timed("int8", 2))) == "INT8 2.00 ms, FP16 4.00 ms"
    slow = "; INT8 IS NO FASTER HERE than FP16 (1.25 x its time)"
    assert _precisions((timed("fp16", 4), timed("int8", 5))) == f"FP16 4.00 ms, INT8 5.00 ms{slow}"
    assert "NO FASTER" not in _precisions((timed("fp16", 4), timed("fp32", 5)))


def test_an_int8_that_is_faster_only_by_noise_is_reported() -> None:
    text = _precisions((timed("fp32", 8), timed("fp16", 4), timed("int8", 3.9)))
    assert text.endswith("; INT8 IS NO FASTER HERE than FP16 (0.97 x its time)")
    assert "NO FASTER" not in _precisions((timed("fp16", 4), timed("int8", 3.8)))
    text = _precisions((timed("fp16", 12), timed("fp32", 8), timed("int8", 12)))
    assert text.endswith("than FP32 (1.50 x its time) and FP16 (1.00 x its time)")


def test_plans_show_what_runs_inside() -> None:
    text = _precisions((timed("fp16", 4, {"FP16": 48}), timed("int8", 2, {"INT8": 31, "FP16": 17})))
    assert text == "INT8 2.00 ms (31 INT8, 17 FP16 convolutions), FP16 4.00 ms (48 FP16 convolutions)"
