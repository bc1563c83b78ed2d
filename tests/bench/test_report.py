"""Verdicts, table and plot of made-up figures."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import cv2
import pytest
from rich.console import Console

from mostnet.bench import plot as plot_module
from mostnet.bench.paced import ClockRange, PacedRun
from mostnet.bench.plot import marks, write_plot
from mostnet.bench.report import BenchReport, Comparison, PacedPart
from mostnet.bench.table import print_report
from mostnet.bench.timings import Timings
from mostnet.contract import BackendNotInstalledError

from .conftest import make_report

TEN = Timings.of([10.0] * 10)
COMPARISON = Comparison("nano.pt", "cpu", 2, None, 0.0, 1.0, 10, ("the flow is short",), TEN, TEN, 1.5)


def printed(report: BenchReport) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=200, highlight=False, markup=False))
    return out.getvalue()


@pytest.mark.parametrize(("samples_ms", "real_time"), [([40.0] * 10, True), ([39.0] * 9 + [41.0], False)])
def test_real_time_is_the_99th_percentile_within_40_ms(samples_ms: list[float], real_time: bool) -> None:
    report = make_report(samples_ms)
    assert report.real_time is real_time
    verdict = json.loads(report.to_json())["verdict"]
    assert verdict["real_time"] is real_time
    assert verdict["budget_ms"] == 40.0 and verdict["camera_fps"] == 25.0 and verdict["stream_factor"] == 2.0
    assert ("real time       yes" if real_time else "real time       no") in printed(report)


def test_table_says_what_was_found() -> None:
    text = printed(make_report([10.0] * 10))
    assert "x[red].onnx on cpu" in text
    assert "yes: p99 of infer 10.00 ms <= 40 ms" in text
    assert "50.0 FPS = 2.00 x 25 FPS" in text
    assert "copy in 0.500, compute 8.000, copy out 0.250, host 0.250 ms" in text
    assert "+2.000 ms over the bare call (1.250 x), copies 0.750 ms; beyond copies +1.250 ms" in text
    assert "target 0.2: missed" in text
    assert "before opening 80, opened 120, with the clip 130, after the run ?, peak 150 MiB" in text
    assert "nano, 64x96, fp16, untrained" in text
    assert "DISTURBED" not in text and "PyTorch" not in text


@pytest.mark.parametrize(
    ("interval", "verdict"), [((-0.1, 0.2), "met"), ((0.21, 0.9), "missed"), ((-0.4, 1.0), "undecided")]
)
def test_a_target_inside_the_interval_is_undecided(interval: tuple[float, float], verdict: str) -> None:
    report = make_report([10.0] * 10)
    assert report.overhead is not None
    measured = dataclasses.replace(report.overhead, beyond_copies_ms=sum(interval) / 2, beyond_copies_95_ms=interval)
    assert f"target 0.2: {verdict}" in printed(dataclasses.replace(report, overhead=measured))


def test_table_shows_comparison_and_disturbance() -> None:
    changes = {"comparison": COMPARISON, "other_cores": {"comparison": 1.25}, "disturbed": ("comparison",)}
    text = printed(make_report([10.0] * 10, **changes))
    assert "DISTURBED, see below: the engine is 1.50 x as fast as eager FP32 on cpu, 2 threads" in text
    assert "PSNR equal" in text and "(trivial: the flow is short)" in text
    assert "other processes took 1.2 cores in comparison: repeat on a quiet machine" in text


def paced_run(how: str, fps: float, samples_ms: list[float], **changes: Any) -> PacedRun:
    timings = Timings.of(samples_ms)
    values: dict[str, Any] = {"arrived": len(samples_ms), "late": 0, "held": 0, "unserved": 0, "cpu_ms": 20.0}
    values |= {"gpu_clock": None, "latency": timings, "hand_over": timings}
    return PacedRun(how=how, fps=fps, **(values | changes))


def paced_report(*runs: PacedRun) -> BenchReport:
    return make_report([10.0] * 10, paced=PacedPart(Timings.of([10.0] * 10), runs))


def test_table_of_paced_runs() -> None:
    slow = paced_run("infer", 60, [20.0] * 100, arrived=150, late=75, held=74, unserved=50)
    text = printed(paced_report(paced_run("stream", 25, [15.0] * 1000), slow))
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "back to back 10.00 10.00 10.00 - 10.00" in rows
    assert "stream at 25 FPS 15.00 15.00 15.00 15.00 15.00 0.0% 0 1.50x 20.0" in rows
    assert "infer at 60 FPS 20.00 20.00 20.00 - 20.00 50.0% 74 2.00x 20.0" in rows
    assert "SM clock" not in text
    assert "needs 1,000 frames in a run: raise --minutes" in text
    assert "infer at 60 FPS: 50 frames still waited at the end. They are late, but in no percentile" in text
    assert "no result one frame period after the arrival" in text
    assert "105 ms of added delay" in text and "Kumcu et al. 2016" in text and "37 ms on average, 54 ms at most" in text
    assert "only a part of the delay from lens to screen (glass to glass)" in text
    quiet = printed(paced_report(paced_run("stream", 25, [15.0] * 1000)))
    assert "raise --minutes" not in quiet and "TOO SLOW" not in quiet
    assert "Paced" not in printed(make_report([10.0] * 10))


def test_table_of_disturbed_paced_runs() -> None:
    report = paced_report(paced_run("stream", 25, [15.0] * 10), paced_run("infer", 25, [15.0] * 10))
    assert "DISTURBED" not in printed(report)
    for part in ("back to back", "infer at 25 FPS"):
        spoiled = dataclasses.replace(report, disturbed=(part,), other_cores={part: 1.5})
        text = printed(spoiled)
        assert f"1.5 cores in {part}" in text and "see above: repeat on a quiet machine" in text
    elsewhere = dataclasses.replace(report, disturbed=("infer",), other_cores={"infer": 1.5})
    assert "see above" not in printed(elsewhere)


def test_table_of_paced_runs_on_a_gpu() -> None:
    clock = ClockRange.of([210.0, 1980.0, 1500.0])
    runs = (paced_run("stream", 25, [15.0] * 10, gpu_clock=clock), paced_run("infer", 25, [15.0] * 10))
    text = printed(paced_report(*runs))
    assert (
        "SM clock" in text
        and "stream at 25 FPS: median 1500 MHz, 210 to 1980" in text
        and "infer at 25 FPS:" not in text
    )


def test_table_of_paced_runs_fits_a_terminal() -> None:
    out = io.StringIO()
    run = paced_run("stream", 29.97, [115.25] * 1000, arrived=9999, late=9999, held=9999)
    print_report(paced_report(run), Console(file=out, width=80, highlight=False, markup=False))
    line = next(line for line in out.getvalue().splitlines() if "stream at 29.97 FPS" in line)
    assert line.split()[4:] == ["115.25"] * 5 + ["100.0%", "9999", "11.53x", "20.0"]


def test_json_of_paced_runs() -> None:
    document = json.loads(paced_report(paced_run("stream", 25, [15.0] * 12, late=3)).to_json())
    run = document["paced"]["runs"][0]
    assert (run["how"], run["fps"], run["late_share"], run["slowdown"]) == ("stream", 25, 0.25, 1.5)
    assert run["latency"]["samples_ms"] == [15.0] * 12
    assert len(document["paced"]["published_delays"]) == 2
    assert json.loads(make_report([1.0] * 10).to_json())["paced"] is None


@pytest.mark.parametrize(("fps", "drawn"), [(25, True), (5, False)])
def test_plot_of_paced_runs_shows_the_period_where_it_is_near(fps: float, drawn: bool, tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    samples_ms = [30.0 + i % 7 for i in range(99)] + [80.0]
    write_plot(paced_report(paced_run("stream", fps, samples_ms), paced_run("infer", fps, samples_ms)), path)
    picture = cv2.imread(str(path))
    assert picture.shape[0] > 1000, "three panels"
    red = int((picture == (0x2A, 0x20, 0xB3)).all(axis=2).sum())
    assert (red > 200) is drawn


def test_json_is_strict() -> None:
    nan = dataclasses.replace(COMPARISON, epe_px=math.nan)
    with pytest.raises(ValueError, match="not JSON compliant"):
        make_report([1.0] * 10, comparison=nan).to_json()


def test_plot_is_a_picture_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "new" / "plot.png"
    write_plot(make_report([30.0 + i % 7 for i in range(50)]), path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    picture = cv2.imread(str(path))
    height, width = picture.shape[:2]
    assert height > 500 and width > 800
    for ink in ("#4a6fa5", "#2a9d4a", "#d1791e", "#b3202a"):
        bgr = [int(ink[i : i + 2], 16) for i in (5, 3, 1)]
        assert (picture == bgr).all(axis=2).sum() > 200, f"{ink} is not in the picture"


@pytest.mark.parametrize(
    ("level_ms", "drawn"), [(2.0, False), (19.0, False), (21.0, True), (55.0, True), (500.0, False)]
)
def test_the_40_ms_line_is_drawn_where_it_is_near(level_ms: float, drawn: bool) -> None:
    labels = [label for _, label, _ in marks(Timings.of([level_ms] * 10))]
    assert labels[:2] == [f"p50 {level_ms:.2f} ms", f"p99 {level_ms:.2f} ms"]
    assert ("25 FPS: 40 ms" in labels) is drawn


def test_plot_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot_module, "find_spec", lambda name: None)
    with pytest.raises(BackendNotInstalledError, match=r"pip install 'mostnet\[plot\]'"):
        write_plot(make_report([1.0] * 10), tmp_path / "plot.png")
    assert list(tmp_path.iterdir()) == []
