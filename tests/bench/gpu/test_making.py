"""The commands that make what a case lacks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mostnet.bench.gpu import making
from mostnet.bench.gpu.agenda import ReportOptions
from mostnet.bench.gpu.cases import PREPARED, Case
from mostnet.bench.gpu.making import Maker
from mostnet.bench.gpu.schedule import Schedule
from mostnet.contract import MeasurementError

from .made_up import MAIN, make_case

TIMED = Case("dw", (480, 640), "fp16", compute_ms=0.3)


class Ran:
    """A maker. ``commands`` keeps its programs, of which only ``prepare`` makes files."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, limit_s: float | None = None, **options: object
    ) -> None:
        self.cases = folder / "cases"
        self.commands: list[list[str]] = []
        self.limits_s: list[float] = []
        monkeypatch.setattr(making, "run_module", self._run)
        pythons = {part: f"{part}-python" for part in ("tensorrt", "rtx", "standin", "torch", "ort")}
        made = ReportOptions(out=folder, cases=self.cases, **{"pythons": pythons, **options})
        self.maker = Maker(made, Schedule(limit_s, clock=lambda: 0.0), folder / "log.txt", lambda: False)

    def _run(self, python: str, arguments: list[str], log: Path, *, limit_s: float, stop: object) -> None:
        self.commands.append([python, *arguments])
        self.limits_s.append(limit_s)
        if arguments[0].endswith(".prepare"):
            make_case(self.cases, Case.parse(arguments[3]), ())


def test_only_what_is_missing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Ran(tmp_path, monkeypatch)
    folder = str(ran.cases / MAIN.name)
    assert [step.kind for step in ran.maker.missing(MAIN, "tensorrt")] == ["prepare", "build tensorrt"]
    ran.maker.make(MAIN, "tensorrt")
    prepare = [str(ran.cases), "--only", MAIN.name, "--opset", "17", "--no-warps"]
    assert ran.commands == [
        ["torch-python", "mostnet.bench.gpu.prepare", *prepare],
        ["tensorrt-python", "mostnet.bench.gpu.build", folder, "--flavour", "tensorrt"],
    ]
    ran.commands.clear()
    for part in ("rtx", "standin", "ort", "torch"):
        ran.maker.make(MAIN, part)
    assert ran.commands == [
        ["rtx-python", "mostnet.bench.gpu.build", folder, "--flavour", "rtx"],
        ["standin-python", "mostnet.bench.gpu.standin.build", folder],
    ]


def test_a_known_computing_time_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Ran(tmp_path, monkeypatch, rehearse=True, reference_frames=12)
    ran.maker.make(TIMED, "standin")
    assert ran.commands[0][-2:] == ["--frames", "12"]
    folder = ran.cases / "dw-480x640-fp16-0.3ms"
    options = ["--miniature", "--toy", "--compute-ms", "0.3"]
    assert ran.commands[1] == ["standin-python", "mostnet.bench.gpu.standin.build", str(folder), *options]
    assert sorted(path.name for path in folder.iterdir()) == sorted(PREPARED)


def test_what_takes_long_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Ran(tmp_path, monkeypatch)
    make_case(ran.cases, MAIN, ("tensorrt",))
    assert ran.maker.missing(MAIN, "tensorrt") == []
    assert [step.kind for step in ran.maker.missing(MAIN, "rtx")] == ["build rtx"]
    assert ran.maker.missing(MAIN, "ort") == ran.maker.missing(MAIN, "torch") == []


def test_an_earlier_case_is_refused_before_its_plan_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Ran(tmp_path, monkeypatch)
    make_case(ran.cases, MAIN, ())
    (ran.cases / MAIN.name / "request.json").unlink()
    with pytest.raises(MeasurementError, match=r"prepared by an earlier version: it has no request\.json"):
        ran.maker.make(MAIN, "tensorrt")
    assert ran.commands == []


def test_preparing_needs_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Ran(tmp_path, monkeypatch, pythons={"tensorrt": sys.executable})
    with pytest.raises(MeasurementError, match=r"no part here has PyTorch; run python -m mostnet.bench.gpu"):
        ran.maker.make(MAIN, "tensorrt")


@pytest.mark.parametrize(
    ("limit_s", "expected_s"),
    [(None, [120.0, 360.0]), (300.0, [120.0, 180.0]), (400.0, [120.0, 200.0]), (130.0, [65.0, 130.0])],
)
def test_a_hang_leaves_time_for_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_s: float | None, expected_s: list[float]
) -> None:
    """The guesses are 22 s to prepare the case, and 120 s to build its plan."""
    ran = Ran(tmp_path, monkeypatch, limit_s=limit_s)
    ran.maker.make(MAIN, "tensorrt")
    assert ran.limits_s == expected_s
