"""The times of one and of two workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mostnet.bench.scale import workers
from mostnet.contract import MeasurementError

from ...toy_graph import save_toy


def test_it_measures_three_ways_that_write_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy = save_toy(tmp_path / "toy.onnx")
    given = ["--engine", str(toy), "--clips", "2", "--frames", "2", "--rounds", "1", "--json", str(tmp_path / "r.json")]
    assert workers.main(given) == 0
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert {name: len(times) for name, times in found["seconds"].items()} == dict.fromkeys(workers.WAYS, 1)
    assert "every run wrote the same bytes" in capsys.readouterr().out


def test_the_ways_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[tuple[int, int]] = []

    def run(source: Path, out: Path, engine: Path, count: int, threads: int) -> float:
        order.append((count, threads))
        out.mkdir()
        for path in source.iterdir():
            (out / path.name).write_bytes(b"same")
        return float(len(order))

    monkeypatch.setattr(workers, "_run", run)
    seconds = workers.measure_workers(tmp_path, 2, 1, 2)
    assert order == [(1, 1), (2, 1), (1, 2), (2, 1), (1, 2), (1, 1)]
    first, two, _ = workers.WAYS
    assert workers.ratio(seconds, two, first) == (2 / 1 + 4 / 6) / 2


def test_other_bytes_and_a_failed_run_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(source: Path, out: Path, *_: object) -> float:
        out.mkdir()
        (out / "00.mp4").write_text(out.name, encoding="utf-8")
        return 1.0

    with monkeypatch.context() as patch:
        patch.setattr(workers, "_run", run)
        with pytest.raises(MeasurementError, match="two workers, one thread each: wrote other results"):
            workers.measure_workers(tmp_path, 1, 1, 1)
    with pytest.raises(MeasurementError, match=r"failed with status 1: .*no\.onnx: no such file"):
        workers.measure_workers(tmp_path / "no.onnx", 1, 1, 1)
