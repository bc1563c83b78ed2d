"""Engines of the same weights in other precisions are found and timed side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from mostnet.bench.frames import load_clip
from mostnet.bench.precisions import compare_precisions, sibling_files
from mostnet.bench.report import PrecisionTimings, Timings
from mostnet.bench.table import _precisions
from mostnet.engine import Engine
from mostnet.engine.options import Options
from mostnet.export import ExportOptions, export
from mostnet.model import initial_checkpoint, save_checkpoint

SIZE = (64, 64)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one checkpoint in two precisions, and another checkpoint under the name of its third."""
    folder = tmp_path_factory.mktemp("engines")
    for seed, name in ((0, "one"), (1, "two")):
        save_checkpoint(initial_checkpoint("nano", seed=seed), folder / f"{name}.pt")
    for name, precision in (("one", "fp32"), ("one", "fp16"), ("two", "fp16")):
        options = ExportOptions(precision=precision, size_hw=SIZE, output=folder, onnx_only=True)
        export(folder / f"{name}.pt", options)
    (folder / "two-64x64-fp16.onnx").rename(folder / "one-64x64-int8.onnx")
    return folder


def test_siblings_by_name(tmp_path: Path) -> None:
    for name in ("a-fp16.onnx", "a-int8.onnx", "a-fp32.plan", "b-fp32.onnx"):
        (tmp_path / name).touch()
    assert [p.name for p in sibling_files(tmp_path / "a-fp16.onnx", "fp16")] == ["a-int8.onnx"]
    assert sibling_files(tmp_path / "a.onnx", "fp16") == []


def test_only_the_same_weights_are_timed(engines: Path) -> None:
    path = engines / "one-64x64-fp16.onnx"
    clip = load_clip(None, SIZE, limit=10, seed=0)
    ticks: list[int] = []
    with Engine(path, threads=1) as engine:
        found = compare_precisions(
            path, engine, Options(threads=1), clip, frames=12, warmup=1, tick=lambda done: ticks.append(done)
        )
    assert [(one.precision, one.file) for one in found] == [
        ("fp16", "one-64x64-fp16.onnx"),
        ("fp32", "one-64x64-fp32.onnx"),
    ]
    assert [len(one.timings.samples_ms) for one in found] == [12, 12]
    assert found[1].megabytes > found[0].megabytes > 0.5
    assert ticks == [5, 10, 12]


def timed(precision: str, ms: float) -> PrecisionTimings:
    return PrecisionTimings("f", precision, 1.0, Timings.of([ms] * 10))


def test_a_slow_int8_is_seen() -> None:
    assert _precisions((timed("fp16", 4), timed("int8", 2))) == "INT8 2.00 ms, FP16 4.00 ms"
    assert _precisions((timed("fp16", 4), timed("int8", 5))) == "FP16 4.00 ms, INT8 5.00 ms; INT8 IS NO FASTER HERE"
    assert "NO FASTER" not in _precisions((timed("fp16", 4), timed("fp32", 5)))
