"""Wrong arguments of a report, and a machine without a GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mostnet.bench.gpu import report as gpu_report
from mostnet.bench.gpu.agenda import ReportOptions
from mostnet.bench.gpu.rows import FILE
from mostnet.contract import MeasurementError, NoGpuError


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "dw-1x"], "is no case"),
        (["--python", "tensorflow=python3"], "is not PART=PYTHON with PART one of tensorrt, rtx, standin, ort, torch"),
        (["--parts", "tensorrt,keras"], "unknown parts ['keras']; expected some of tensorrt, rtx"),
        (["--kinds", "time,sing"], "unknown kinds ['sing']; expected some of check, time, peaks, paced, soak"),
        (["--minutes", "0"], "is not a number above 0"),
        (["--minutes", "inf"], "'inf' is not a finite number"),
        (["--rounds", "0"], "'0' is not a whole number above 0"),
        (["--seconds", "-1"], "'-1' is not a number above 0"),
        (["--paced-seconds", "nan"], "'nan' is not a number above 0"),
        (["--frames", "3"], "'3' is too few; a round has at least 10 frames"),
        (["--only", "dw-7x9"], "'dw-7x9' is no case; each side of its size must be at least 64 pixels"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        gpu_report.main([str(tmp_path), *arguments])
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to_is_a_wrong_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    assert gpu_report.main([str(file)]) == 2
    begin = "mostnet.bench.gpu.report: OUT "
    assert capsys.readouterr().err == f"{begin}{file}: cannot be made: File exists; name another folder\n"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert gpu_report.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{begin}{tmp_path}: is not writable; name another folder\n"


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="expected at least 1 round"):
        ReportOptions(out=tmp_path, cases=tmp_path, rounds=0)
    with pytest.raises(MeasurementError, match=r"unknown parts \['keras'\]"):
        ReportOptions(out=tmp_path, cases=tmp_path, pythons={"keras": "python"})


def test_without_a_gpu_it_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_gpu() -> int:
        raise NoGpuError("no NVIDIA driver on this machine")

    monkeypatch.setattr(gpu_report, "require_gpu", no_gpu)
    assert gpu_report.main([str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "no NVIDIA driver on this machine; the report needs an NVIDIA GPU" in told and "--rehearse" in told
    assert not (tmp_path / FILE).exists()
