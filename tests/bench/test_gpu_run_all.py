"""The script for a GPU machine, as far as it goes without one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gpu import run_all
from tests.gpu.run_all import main, mirror


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_all, "WORK", tmp_path / "work")
    monkeypatch.setattr(run_all, "KITS", tmp_path / "kits")


def unpack_kit(folder: Path, kit: str) -> None:
    """A part whose script does what that of a real kit does."""
    part = folder / "parts" / "part-00"
    part.mkdir(parents=True)
    root = folder / "kits" / kit
    script = f'mkdir -p {root}/site; echo "export PYTHONPATH={root}/site KIT={kit}" > {root}/env.sh; echo unpacked'
    (part / "assemble.sh").write_text(script)


def test_parts_are_unpacked_and_the_kits_python_has_mostnet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unpack_kit(tmp_path, "rtx")
    arguments = ["parts", "--kit", "rtx", "--out", str(tmp_path / "out"), "--parts", str(tmp_path / "parts")]
    assert main(arguments) == 0
    assert "== parts: ok" in capsys.readouterr().out
    assert (tmp_path / "out" / "parts.txt").read_text() == "unpacked\n"
    runner = run_all.Runner(run_all.parse(["tests", "--kit", "rtx", "--out", str(tmp_path / "out")]))
    code = "import os, mostnet.bench.gpu.engine_worker as m; print(os.environ['KIT'], m.__file__)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([runner.python("rtx"), "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["rtx", str(tmp_path / "work" / "site" / "mostnet" / "bench" / "gpu_engine.py")]


def test_a_missing_kit_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="the kit trt86 is not unpacked: run the stage parts"):
        main(["build", "--out", str(tmp_path / "out")])


def test_a_failing_stage_is_named_and_its_log_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = tmp_path / "parts" / "part-00"
    part.mkdir(parents=True)
    (part / "assemble.sh").write_text("echo wrong checksum; exit 3")
    assert main(["parts", "--out", str(tmp_path / "out"), "--parts", str(tmp_path / "parts")]) == 1
    text = capsys.readouterr().out
    assert "== parts: status 3" in text and "wrong checksum" in text
    assert text.endswith("failed: parts\n")


def test_what_takes_too_long_is_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runner = run_all.Runner(run_all.parse(["tests", "--out", str(tmp_path), "--minutes", "0.02"]))
    assert not runner.run("slow", [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"])
    assert "== slow: out of time" in capsys.readouterr().out


def test_the_report_comes_back_as_it_grows(tmp_path: Path) -> None:
    source, target = tmp_path / "report", tmp_path / "out"
    for folder in (source, target, source / "cases"):
        folder.mkdir()
    (source / "gpu_report.json").write_text("1")
    (source / ".gpu_report-x.json").write_text("half")
    mirror(source, target)
    assert [path.name for path in target.iterdir()] == ["gpu_report.json"]
    (source / "gpu_report.json").write_text("2")
    os.utime(source / "gpu_report.json", (4e9, 4e9))
    mirror(source, target)
    assert (target / "gpu_report.json").read_text() == "2"


def test_no_sanitizer_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_all.shutil, "which", lambda *_, **__: None)
    assert main(["sanitizer", "--out", str(tmp_path / "out")]) == 0
    assert "skipped, this machine has no compute-sanitizer" in capsys.readouterr().out


def begin_background(folder: Path, script: str) -> run_all.Runner:
    """A runner whose preparation in the background is ``script``."""
    runner = run_all.Runner(
        run_all.parse(["prepare", "--kit", "ort", "--out", str(folder / "out"), "--minutes", "0.5"])
    )
    runner.machine_python = folder / "python"
    runner.machine_python.write_text(f"#!/bin/sh\n{script}\n")
    runner.machine_python.chmod(0o755)
    runner.background()
    return runner


def test_a_background_that_died_is_not_waited_for(tmp_path: Path) -> None:
    runner = begin_background(tmp_path, "sleep 0.3; exit 1")
    runner.prepare()
    assert runner.left_s > 15, "the whole call was spent waiting for a process that is no more"


def test_nothing_is_measured_beside_the_background(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runner = begin_background(tmp_path, 'case "$*" in *gpu_prepare*) sleep 60; echo late;; esac')
    for _ in range(50):
        if run_all.running_background() is not None:
            break
        time.sleep(0.1)
    assert run_all.running_background() is not None
    runner.report()
    assert run_all.running_background() is None
    assert "== background: ended" in capsys.readouterr().out
