"""The table of Table I: its rows, its files, equal budgets, and a small run from end to end."""

from __future__ import annotations

import csv
import json
import shutil
from argparse import Namespace
from pathlib import Path

import pytest

from mostnet.bench.table1 import train as training
from mostnet.bench.table1.budget import Budget
from mostnet.bench.table1.notes import notes
from mostnet.bench.table1.plot import write_plot
from mostnet.bench.table1.quality import Quality
from mostnet.bench.table1.report import main
from mostnet.bench.table1.rows import LEARNING_RATES, NO_METHOD, ROWS, Cost, cost, is_ours, published
from mostnet.bench.table1.speed import ONNX, PYTORCH, Speed
from mostnet.bench.table1.table import MeasuredTable, TableRow
from mostnet.model.table1 import NETWORKS
from tests.model.table1.needs import need
from tests.training.moving_scenes import moving_clip, write_sequence


def made_up() -> MeasuredTable:
    rows = (
        TableRow(NO_METHOD, Quality(17.0, 0.7, 9.0, 0.3), None, None, {}),
        TableRow("raft", Quality(epe_px=1.5), 40, Cost(5.26, 500.0), {PYTORCH: Speed((250.0, 200.0, 300.0))}),
        TableRow("combination", Quality(20.0, 0.8, 1.5, 0.5), None, Cost(34.2, 900.0), {PYTORCH: Speed((500.0,))}),
        TableRow(
            "dw", Quality(21.0, 0.9, 2.5, 0.6), 90, Cost(30.0, 138.4), {PYTORCH: Speed((250.0,)), ONNX: Speed((125.0,))}
        ),
    )
    return MeasuredTable(rows, {"title": "made up", "budget": {"minutes": 3.0}}, ("A note.", "Another one."))


def test_the_rows_are_those_of_the_source_and_ours() -> None:
    assert set(ROWS) == {*NETWORKS, "sw", "dw", "nano"} and len(ROWS) == 10
    assert set(LEARNING_RATES) == set(ROWS) - {"combination"}
    assert published("dw").fps / published("combination").fps == pytest.approx(1.733, abs=1e-3)
    assert published("nano").fps is None and published(NO_METHOD).psnr_db == 17.80


@pytest.mark.parametrize("row", ROWS)
def test_size_and_work_of_every_row(row: str) -> None:
    if not is_ours(row):
        need(row)
    found, larger = cost(row, (128, 128)), cost(row, (128, 256))
    assert found.gflop * 1.5 < larger.gflop < found.gflop * 4.5, "RAFT compares every place with every other"
    wanted = {"sw": 13.2, "dw": 29.8, "nano": 0.56, "unet++": 48.99}.get(row, published(row).parameters_m)
    assert found.parameters_m == pytest.approx(wanted, rel=0.02)


def test_every_row_has_the_same_budget() -> None:
    budget = Budget(minutes=3.0, crop_hw=(64, 96))
    options = [budget.options(row) for row in ROWS if row != "combination"]
    for name in ("max_minutes", "threads", "batch", "clip", "chunks", "crop_hw", "seed", "warmup", "steps", "amp"):
        assert len({getattr(each, name) for each in options}) == 1, name
    assert [each.network for each in options] == [*ROWS[:6], "mostnet", "mostnet", "mostnet"]


def test_the_notes_follow_the_rows_and_the_budget() -> None:
    def told(minutes: float, *names: str) -> str:
        rows = [TableRow(name, None, None, Cost({"unet++": 48.99, "raft": 5.26}[name], 1.0), {}) for name in names]
        args = Namespace(parts=("quality",), sequences=1, frames=2)
        return "\n".join(notes(args, Path("tiny"), Budget(minutes=minutes), rows, None))

    assert "unet++ has 48.99 M parameters here; Table I says 50.0 M." in told(5, "unet++") and "too short" in told(5)
    assert "Table I says" not in told(600, "raft") and "too short" not in told(600)


def test_files_of_the_table(tmp_path: Path) -> None:
    table = made_up()
    text = table.to_markdown()
    assert "| raft | - | - | 1.50 | - | 5.26 | 500.0 | 5.00 | - | - |" in text, "the best of three rounds"
    assert "| dw | 1.73 | 2.00 | 4.00 | - |" in text, "ratios over the combination: source, PyTorch, ONNX Runtime"
    assert "| dw | 29.97 | 0.969 | 2.13 | 0.716 | 29.8 | 5.2 |" in text and "- A note.\n- Another one.\n" in text
    assert "| none | 17.00 | 0.700 | 9.00 | 0.300 | - | - | - | - | - |" in text
    rows = list(csv.DictReader(table.to_csv().splitlines()))
    assert [row["method"] for row in rows] == ["none", "raft", "combination", "dw"]
    assert rows[1]["steps"] == "40" and rows[1]["minutes of training"] == "3.0" and rows[1]["EPE px"] == "1.50"
    document = json.loads(table.to_json())
    assert document["rows"][1]["speed"][PYTORCH]["samples_ms"] == [250.0, 200.0, 300.0]
    assert document["rows"][3]["published"]["fps"] == 5.2 and document["rows"][3]["fps"][ONNX] == 8.0
    write_plot(table, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("table1") / "tiny"
    for split in ("train", "test"):
        write_sequence(root / split / "a", moving_clip(6, size_hw=(72, 96)))
    return root


def command(data: Path, out: Path) -> list[str]:
    small = ["--minutes", "0.01", "--crop", "64x64", "--sequences", "1", "--frames", "2", "--threads", "1"]
    return [str(out), "--data", str(data), *small, "--size", "64x96", "--rounds", "2", "--rows", "estrnn", "nano"]


def test_a_small_run_from_end_to_end(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object, **kwargs: object) -> object:
        raise KeyboardInterrupt

    whole = training.train
    monkeypatch.setattr(training, "train", stop)
    assert main(command(data, tmp_path)) == 130
    assert "interrupted; the same command continues" in capsys.readouterr().err
    assert not list(tmp_path.glob("table1.*"))
    monkeypatch.setattr(training, "train", whole)

    assert main(command(data, tmp_path)) == 0
    printed = capsys.readouterr()
    assert "FPS, PyTorch" in printed.out and "| none |" in printed.out
    assert sorted(path.name for path in tmp_path.glob("table1.*")) == [
        "table1.csv",
        "table1.json",
        "table1.md",
        "table1.png",
    ]
    document = json.loads((tmp_path / "table1.json").read_text())
    none, estrnn, nano = document["rows"]
    assert estrnn["quality"]["psnr_db"] > 0 and estrnn["quality"]["epe_px"] is None and estrnn["steps"] > 0
    assert set(nano["fps"]) == {PYTORCH, ONNX} and set(estrnn["fps"]) == {PYTORCH}
    assert len(nano["speed"][PYTORCH]["samples_ms"]) == 2 and none["quality"]["iou"] is not None
    assert document["facts"]["data"] == "tiny" and document["facts"]["budget"]["minutes"] == 0.01
    assert str(tmp_path) not in json.dumps({**document["facts"], "command": ""})

    assert document["notes"][0].startswith("Quality: every network was trained from scratch for 0.01 minutes")
    assert "far too short" in document["notes"][0] and "sees four past frames" in document["notes"][-1]
    assert any(note.startswith("No figures of TensorRT: ") for note in document["notes"])

    monkeypatch.setattr(training, "train", stop)
    assert main([*command(data, tmp_path), "--parts", "quality"]) == 0
    again = capsys.readouterr().err
    assert "steps are done" in again and again.count("evaluated before") == 2

    assert main([*command(data, tmp_path), "--crop", "64x80", "--minutes", "5"]) == 1
    assert "holds a run with another max_minutes, crop_hw; give another folder, or remove" in capsys.readouterr().err
    moved = Path(shutil.copytree(data, tmp_path / "tiny"))
    assert main([*command(moved, tmp_path), "--parts", "quality"]) == 1
    assert "holds runs on other data; give another folder, or remove this one" in capsys.readouterr().err


def test_the_combination_needs_its_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--rows", "combination", "raft"])
    assert "the combination is made of trained rows: add estrnn, raft, deeplabv3+ to --rows" in capsys.readouterr().err


def test_speed_alone_needs_no_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--parts", "speed", "--rows", "estrnn", "--size", "64x96", "--rounds", "1", "--threads", "1"]
    assert main([str(tmp_path), *arguments]) == 0
    shown = capsys.readouterr().out
    assert "| estrnn | - | - | - | - | 2.30 |" in shown and "Optimiser steps" not in shown
    assert not (tmp_path / "runs").exists() and not (tmp_path / "data").exists()
