"""The report's end of the link to its workers, and the programs that it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic

import pytest

from mostnet.bench.gpu.link import ProcessLink, StopAsked, run_module
from mostnet.contract import MeasurementError


def test_a_program_that_does_not_heed_the_end_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    begun_s = monotonic()
    with pytest.raises(MeasurementError, match="timeit took longer than 1 s and was ended"):
        run_module(sys.executable, ["timeit", "-n1", "-r1", code], tmp_path / "log.txt", limit_s=1)
    assert monotonic() - begun_s < 20


def test_a_preparation_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    cases = tmp_path / "cases"
    arguments = ["mostnet.bench.gpu.prepare", str(cases), "--only", "dw-1080p", "--no-warps"]
    with pytest.raises(StopAsked):
        run_module(
            sys.executable,
            arguments,
            tmp_path / "log.txt",
            limit_s=60,
            stop=lambda: list(cases.glob(".dw-*/*/case.pt")),
        )
    assert list(cases.iterdir()) == []


@pytest.mark.parametrize("constant", ["NaN", "-Infinity"])
def test_an_answer_without_finite_numbers_is_a_failure(tmp_path: Path, constant: str) -> None:
    code = f'input(); print(\'{{"done": {{"epe_px": {constant}}}}}\')'
    link = ProcessLink([sys.executable, "-c", code], tmp_path / "log.txt")
    with pytest.raises(MeasurementError, match=rf"check: the answer holds {constant}; expected finite numbers"):
        link.ask("check", timeout_s=30)
    link.close()
