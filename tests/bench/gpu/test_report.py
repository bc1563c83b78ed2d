"""The run of a report: what it measures, skips and leaves behind, on workers with made-up figures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mostnet.bench.gpu.cases import read_facts
from mostnet.bench.gpu.rows import FILE
from mostnet.contract import MeasurementError
from mostnet.contract.versions import mostnet_version

from .made_up import CHECK, FIGURES, LARGE, MAIN, REST, Bench, make_computing_cases, rows_of, states

ALL = (CHECK, MAIN, LARGE, REST)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_report_measures_everything(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=ALL, parts=("tensorrt", "rtx"))
    complete, document = bench.run()
    assert complete, {key: one for key, one in document["work"].items() if one["state"] != "done"}
    assert [list(record["accuracy"]) for record in document["cases"].values()] == [["tensorrt", "rtx"]] * 4
    assert [(run["fps"], run["how"]) for run in document["cases"][MAIN.name]["paced"]] == [
        (60.0, "stream"),
        (30.0, "stream"),
        (25.0, "stream"),
        (60.0, "infer"),
    ]
    assert document["cases"][MAIN.name]["soak"] == {"part": "tensorrt", "python_blocks": 3, "frames": 2000}
    assert document["peaks"] == {"matmul_tflop_s": 700.0, "memcpy_gb_s": 3000.0, "source": "measured"}
    assert document["left_out"] == {"ort": "onnxruntime cannot be imported"}
    assert document["machine"]["cpu"] and document["machine"]["cores"] >= 1
    assert document["minutes"] is None and document["mostnet"] == mostnet_version()
    assert all(link.closed for link in bench.links)
    assert bench.published == len(document["work"]) + 1


def test_every_round_is_in_the_file_before_the_next(bench: Bench) -> None:
    bench.run()
    assert bench.saved == list(range(10 * 3)), "a run that is cut short must leave every round before"
    infer = rows_of(bench.document())["infer"]
    assert (infer["fps"], infer["p50_ms"], infer["p99_ms"], infer["samples"]) == (700.0, 1.45, 1.45, 27)
    assert rows_of(bench.document())["enqueue"]["p50_ms"] is None, "the bare enqueue loop waits for no frame"


def test_memory_is_what_a_method_adds_to_that_of_its_own_case(tmp_path: Path) -> None:
    """Methods share an engine, the check opens it, and the workers of the case before end when a worker starts."""
    bench = Bench(tmp_path, only=(CHECK, MAIN, REST))
    _, document = bench.run()
    for case in (CHECK, MAIN, REST):
        assert {method: row["vram_mib"] for method, row in rows_of(document, case).items()} == {
            "stream": 100.0,
            "infer": None,
            "enqueue": 100.0,
            "enqueue+copies": None,
            **dict.fromkeys(FIGURES["torch"], 100.0),
        }, case


def test_the_report_keeps_how_long_each_step_took(bench: Bench) -> None:
    _, document = bench.run()
    steps = document["steps"]
    assert steps["check"] == {f"{MAIN.name} tensorrt": [3.0]}
    assert steps["peaks"] == {MAIN.name: [2.0]}
    assert steps["open plan"][f"{MAIN.name} tensorrt stream"] == [2.0, 2.0], "once for the check, once to be timed"
    assert steps["round"]["torch eager-fp16"] == [1.0] * 3
    _, document = bench.run(resume=True)
    assert document["steps"] == steps, "those of an earlier run stay"


def test_correctness_comes_first_and_each_case_is_checked_before_it_is_timed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=(REST, LARGE, MAIN, CHECK))
    bench.run()
    order = list(dict.fromkeys((name, do) for name, _, do, _ in bench.asked if do in ("check", "round", "paced")))
    assert order == [
        (CHECK.name, "check"),
        (MAIN.name, "check"),
        (MAIN.name, "round"),
        (LARGE.name, "check"),
        (LARGE.name, "round"),
        (MAIN.name, "paced"),
        (REST.name, "check"),
        (REST.name, "round"),
        (CHECK.name, "round"),
    ]


def test_methods_take_turns_with_changing_neighbours(bench: Bench) -> None:
    bench.run()
    order = bench.rounds()[: 7 * 3]
    rounds = [order[start : start + 7] for start in (0, 7, 14)]
    assert len({frozenset(one) for one in rounds}) == 1
    neighbours = [set(pairwise(one)) for one in rounds]
    assert all(len(one & two) <= 3 for one, two in pairwise(neighbours))


def test_a_compiled_method_has_a_worker_of_its_own(bench: Bench) -> None:
    """It may hang or die without harm to the others."""
    bench.broken = {"open compile-cuda-graph"}
    _, document = bench.run()
    rows = rows_of(document)
    assert rows["compile-cuda-graph"]["error"] == "open compile-cuda-graph is broken"
    assert all(rows[method]["rounds"] == 3 for method in ("eager-fp32", "eager-tf32", "eager-fp16", "stream"))
    assert [link.part for link in bench.links[:3]] == ["tensorrt", "torch", "torch"]


def test_what_does_not_fit_is_skipped_and_smaller_work_behind_it_is_done(bench: Bench) -> None:
    complete, document = bench.run(limit_s=120.0, paced_seconds=100.0)
    assert not complete
    work = document["work"]
    assert work[f"time {MAIN.name} tensorrt+torch"]["state"] == "partly"
    assert work[f"time {MAIN.name} tensorrt+torch"]["note"].startswith(
        "PyTorch compile-cuda-graph left out: needs about "
    )
    assert rows_of(document)["eager-fp16"]["rounds"] == 3
    paced = work[f"paced {MAIN.name} stream at 60 FPS"]
    assert paced["state"] == "skipped" and paced["note"].startswith("needs about 10")
    assert work[f"soak {MAIN.name}"]["state"] == "done"


def test_estimates_are_corrected_by_what_was_measured(tmp_path: Path) -> None:
    """What the compiler took for the first case decides whether it fits for the second."""
    for took_s, expected in ((1.0, "done"), (80.0, "partly")):
        bench = Bench(tmp_path / str(took_s), only=(MAIN, LARGE))
        bench.took_s["open compile-cuda-graph"] = took_s
        _, document = bench.run(limit_s=165.0)
        assert rows_of(document)["compile-cuda-graph"]["rounds"] == 3
        assert document["work"][f"time {LARGE.name} tensorrt+torch"]["state"] == expected, document["work"]


@pytest.mark.parametrize("limit_s", [5.0, 40.0, 90.0, 200.0, 400.0])
def test_nothing_begins_after_the_deadline(tmp_path: Path, limit_s: float) -> None:
    bench = Bench(tmp_path, only=ALL)
    bench.took_s.update({"round": 1.2, "open": 5.0})
    complete, document = bench.run(limit_s=limit_s)
    assert bench.now_s <= limit_s
    assert not complete
    assert all(one["note"] for one in document["work"].values() if one["state"] != "done")


def test_slow_rounds_end_at_the_deadline(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=ALL)
    bench.took_s["round"] = 30.0
    _, document = bench.run(limit_s=100.0)
    assert bench.now_s <= 100.0 + 1.0, "a worker gets a second at least"
    assert "time ran out in round 1 of 3" in document["work"][f"time {MAIN.name} tensorrt+torch"]["note"]
    assert all(row["error"] is None for row in document["cases"][MAIN.name]["rows"]), "no method failed"


def test_a_slow_compiler_leaves_time_for_the_methods_before_it(bench: Bench) -> None:
    bench.took_s["open compile-cuda-graph"] = 500.0
    _, document = bench.run(limit_s=200.0)
    rows = rows_of(document)
    assert "no answer to 'open'" in rows["compile-cuda-graph"]["error"]
    assert all(rows[method]["rounds"] == 3 for method in rows if not method.startswith("compile"))


def test_a_signal_ends_the_run_and_leaves_a_report(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=ALL)
    bench.signals = {(LARGE.name, "check")}
    complete, document = bench.run()
    assert not complete
    assert states(document, "not begun")[0] == f"time {LARGE.name} tensorrt+torch"
    assert rows_of(document)["infer"]["rounds"] == 3
    assert all(link.closed for link in bench.links)
    assert bench.published > 0


def test_failures_are_reported_and_the_rest_is_measured(bench: Bench) -> None:
    bench.broken = {"open compile-cuda-graph", "round eager-fp32", "soak"}
    complete, document = bench.run()
    assert not complete
    errors = {method: row["error"] for method, row in rows_of(document).items() if row["error"]}
    assert errors == {
        "compile-cuda-graph": "open compile-cuda-graph is broken",
        "eager-fp32": "round eager-fp32 is broken",
    }
    assert document["work"][f"soak {MAIN.name}"] == {
        "case": MAIN.name,
        "state": "failed",
        "note": "soak  is broken",
        "took_s": 5.0,
    }
    assert (
        document["work"][f"time {MAIN.name} tensorrt+torch"]["note"]
        == "PyTorch eager-fp32 failed; PyTorch compile-cuda-graph failed"
    )
    assert [row["rounds"] for row in document["cases"][MAIN.name]["rows"] if not row["error"]] == [3] * 7


def test_a_runtime_that_fails_its_check_is_not_timed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, parts=("tensorrt", "rtx"))
    bench.broken = {"rtx check"}
    _, document = bench.run()
    work = document["work"][f"check {MAIN.name} rtx"]
    assert (work["state"], work["note"]) == ("failed", "check  is broken")
    assert {row["part"] for row in document["cases"][MAIN.name]["rows"]} == {"tensorrt", "torch"}


def test_a_runtime_that_never_works_is_given_up_after_two_failures(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=ALL, parts=("rtx", "ort"))
    bench.broken = {"rtx check"}
    _, document = bench.run()
    assert sum(part == "rtx" and do == "check" for _, part, do, _ in bench.asked) == 2
    assert document["work"][f"check {LARGE.name} rtx"]["note"] == "TensorRT for RTX failed 2 times and never worked"
    assert document["work"][f"paced {MAIN.name} stream at 60 FPS"]["state"] == "done", "with ONNX Runtime"


def test_the_stand_in_is_not_needed_where_tensorrt_works(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=(CHECK, MAIN), parts=("tensorrt", "standin"))
    complete, document = bench.run()
    assert complete
    assert "standin" not in {part for _, part, _, _ in bench.asked}
    assert states(document, "not needed")[0] == f"check {CHECK.name} stand-in"


def test_the_stand_in_takes_over_where_tensorrt_fails(tmp_path: Path) -> None:
    """TensorRT for RTX may import on an H100 and then refuse to build."""
    bench = Bench(tmp_path, only=(CHECK, MAIN), parts=("rtx", "standin"))
    make_computing_cases(bench, CHECK)
    bench.broken = {"rtx check"}
    _, document = bench.run()
    assert list(document["cases"][MAIN.name]["accuracy"]) == ["standin"]
    rows = document["cases"]["nano-480x640-fp16-0.3ms"]["rows"]
    assert {(row["part"], row["method"]) for row in rows} == {("standin", method) for method in FIGURES["standin"]}
    assert document["cases"][MAIN.name]["paced"][0]["part"] == "standin"


def test_the_stand_in_is_measured_beside_tensorrt_if_asked_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=(MAIN,), parts=("tensorrt", "standin"))
    make_computing_cases(bench, MAIN)
    _, document = bench.run(spare_standin=False)
    assert list(document["cases"][MAIN.name]["accuracy"]) == ["tensorrt", "standin"]


def test_a_worker_that_died_is_started_again(bench: Bench) -> None:
    start = bench.start

    def start_to_die(*arguments: Any) -> Any:
        link = start(*arguments)
        link._peaks = link._paced = lambda **_: link.close() or {}
        return link

    bench.start = start_to_die
    _, document = bench.run()
    assert document["work"][f"soak {MAIN.name}"]["state"] == "done"


def test_peaks_without_pytorch(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    _, document = bench.run(pythons={"tensorrt": sys.executable})
    assert document["peaks"] == {
        "memcpy_gb_s": 2900.0,
        "matmul_tflop_s": 989.0,
        "source": "copies measured, FLOPs by the data sheet",
    }


def test_a_case_that_cannot_be_made_is_noted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    _, document = bench.run(only=(REST, MAIN), pythons={"tensorrt": sys.executable})
    note = document["work"][f"check {REST.name} tensorrt"]["note"]
    assert note.endswith("where PyTorch is installed, and name its folder with --cases")
    assert rows_of(document)["stream"]["rounds"] == 3
    (bench.cases / MAIN.name / "case.plan").unlink()
    (bench.out / FILE).unlink()
    _, document = bench.run(pythons={"tensorrt": sys.executable})
    note = document["work"][f"check {MAIN.name} tensorrt"]["note"]
    assert note.startswith("mostnet.bench.gpu.build failed with status 1: mostnet.bench.gpu.build: "), note


def test_a_case_of_an_earlier_version_is_refused(bench: Bench) -> None:
    folder = bench.cases / MAIN.name
    (folder / "case.json").write_text('{"flops": 1}')
    (folder / "frames.npy").unlink()
    _, document = bench.run()
    note = document["work"][f"check {MAIN.name} tensorrt"]["note"]
    assert "prepared by an earlier version: it has no frames.npy, frames, least_bytes, weight_bytes; remove" in note
    (folder / "case.json").write_text("[")
    with pytest.raises(MeasurementError, match=r"it has no frames.npy, JSON in case.json"):
        read_facts(folder)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_sigterm_leaves_json_and_markdown(tmp_path: Path) -> None:
    """The real command, stopped while it prepares a case."""
    command = [sys.executable, "-m", "mostnet.bench.gpu.report", str(tmp_path), "--rehearse", "--parts", "torch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "log.txt"
    while process.poll() is None and not log.exists():
        pass
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped by a signal" in errors
    assert "REHEARSAL" in (tmp_path / "gpu_report.md").read_text()
