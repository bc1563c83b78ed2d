"""The whole command, with real workers, on the miniature GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mostnet.bench.gpu.rows import FILE

from .conftest import CASE


@pytest.fixture(scope="module")
def out(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a rehearsal on a case that was prepared elsewhere."""
    folder = tmp_path_factory.mktemp("rehearsal")
    command = [sys.executable, "-m", "mostnet.bench.gpu.report", str(folder / "out"), "--rehearse"]
    options = ["--cases", str(cases), "--minutes", "10"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run([*command, *options], capture_output=True, text=True, env=environment)
    log = folder / "out" / "log.txt"
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{log.read_text() if log.is_file() else ''}"
    return folder / "out"


def test_everything_is_measured_and_few_files_are_left(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == [
        "gpu_report.json",
        "gpu_report.md",
        "gpu_report.png",
        "log.txt",
    ]
    document = json.loads((out / FILE).read_text())
    assert {one["state"] for one in document["work"].values()} == {"done"}
    assert set(document["left_out"]) == {"tensorrt", "rtx"}
    assert document["minutes"] == 10 and document["versions"]["standin"]["CUDA graphs"] == "on"
    record = document["cases"][CASE.name]
    assert list(record["accuracy"]) == ["standin", "ort"]
    assert all(not found["broken_frames"] for found in record["accuracy"].values())
    assert {(row["part"], row["method"]) for row in record["rows"]} == {
        *(("standin", method) for method in ("stream", "infer", "enqueue", "enqueue+copies")),
        *(("torch", method) for method in ("eager-fp32", "eager-tf32", "eager-fp16")),
        *(("ort", method) for method in ("stream", "infer")),
    }
    assert {(run["part"], run["fps"], run["how"]) for run in record["paced"]} == {
        ("standin", 60.0, "stream"),
        ("standin", 30.0, "stream"),
        ("standin", 25.0, "stream"),
        ("standin", 60.0, "infer"),
    }
    assert f"{CASE.name}-0.3ms" in document["cases"]


def test_it_says_that_it_is_a_rehearsal(out: Path) -> None:
    text = (out / "gpu_report.md").read_text()
    assert text.startswith("# GPU report, REHEARSAL without a GPU")
    assert "**met**" not in text and "**missed**" not in text
    assert "## Not measured" not in text
