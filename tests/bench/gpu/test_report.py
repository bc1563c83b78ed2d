"""The run of a report: what it measures, skips and leaves behind, on workers with made-up figures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from mostnet.bench.gpu import report as gpu_report
from mostnet.bench.gpu.agenda import COMPUTE_MS, ReportOptions
from mostnet.bench.gpu.cases import ALL_CASES, Case, is_built, is_prepared, parse_cases, read_facts
from mostnet.bench.gpu.link import ProcessLink, StopAsked, WorkerPool, run_module
from mostnet.bench.gpu.rows import FILE
from mostnet.contract import MeasurementError, NoGpuError
from mostnet.contract.versions import mostnet_version

from .made_up import CHECK, FIGURES, LARGE, MAIN, REST, Bench, make_case, rows_of

ALL = (CHECK, MAIN, LARGE, REST)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def make_computing_cases(bench: Bench, case: Case) -> None:
    for compute_ms in COMPUTE_MS:
        make_case(bench.cases, replace(case, compute_ms=compute_ms), ("standin",))


def states(document: dict[str, Any], state: str) -> list[str]:
    return [key for key, one in document["work"].items() if one["state"] == state]


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
    assert infer["vram_mib"] == 7
    assert rows_of(bench.document())["enqueue"]["p50_ms"] is None, "the bare enqueue loop waits for no frame"


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


def test_resume_does_only_what_is_not_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=(MAIN, REST))
    bench.broken = {"round eager-tf32"}
    complete, document = bench.run()
    assert not complete
    assert states(document, "partly") == [f"time {MAIN.name} tensorrt+torch", f"time {REST.name} tensorrt+torch"]
    bench.broken = set()
    bench.asked.clear()
    complete, document = bench.run(resume=True)
    assert complete
    assert not any(do in ("check", "paced", "soak", "peaks") for _, _, do, _ in bench.asked)
    assert len(bench.rounds(MAIN)) == len(bench.rounds(REST)) == 9 * 3
    assert all(row["rounds"] >= 3 and row["error"] is None for row in document["cases"][MAIN.name]["rows"])


def test_resume_begins_with_what_was_never_tried(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=(MAIN, REST))
    bench.broken = {"open compile-cuda-graph"}
    bench.run(limit_s=120.0)
    assert not bench.rounds(REST)
    bench.asked.clear()
    _, document = bench.run(resume=True)
    assert next(name for name, _, _, method in bench.asked if method == "stream") == REST.name
    assert f"time {MAIN.name} tensorrt+torch" in states(document, "partly")


def test_resume_measures_a_better_runtime_that_came_later(tmp_path: Path) -> None:
    """Kits of libraries reach a GPU machine one after another."""
    bench = Bench(tmp_path, parts=("standin", "rtx"))
    make_computing_cases(bench, MAIN)
    pythons = {"standin": sys.executable, "torch": sys.executable}
    complete, document = bench.run(pythons=pythons)
    assert complete and document["cases"][MAIN.name]["soak"]["part"] == "standin"
    bench.asked.clear()
    complete, document = bench.run(resume=True)
    assert complete
    record = document["cases"][MAIN.name]
    assert {run["part"] for run in record["paced"]} == {record["soak"]["part"]} == {"rtx"}
    assert len(record["paced"]) == 4
    assert {row["part"] for row in record["rows"]} == {"standin", "rtx", "torch"}
    assert "standin" not in {part for _, part, _, _ in bench.asked}


def test_resume_without_time_keeps_what_was_measured(bench: Bench) -> None:
    bench.run()
    before = bench.document()["cases"]
    _, after = bench.run(resume=True, limit_s=1.0)
    assert after["cases"] == before


def test_a_rehearsal_is_not_continued_by_a_measurement(bench: Bench) -> None:
    bench.run(rehearse=True)
    with pytest.raises(MeasurementError, match="a rehearsal and a measurement do not mix"):
        bench.run(resume=True)


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


def test_a_plan_counts_once_it_is_described_and_each_flavour_has_its_own(tmp_path: Path) -> None:
    folder = make_case(tmp_path, MAIN)
    assert is_prepared(folder)
    assert is_built(folder, "tensorrt")
    assert not is_built(folder, "rtx") and not is_built(folder, "standin")
    (folder / "case.plan.json").unlink()
    assert not is_built(folder, "tensorrt"), "a build that was cut off"


def test_cases() -> None:
    assert [case.name for case in ALL_CASES[:4]] == [
        "dw-480x640-fp16",
        "sw-480x640-fp16",
        "nano-480x640-fp16",
        "dw-800x800-fp16",
    ]
    assert len(ALL_CASES) == 12
    assert parse_cases("nano-1080p, dw-480x640-fp32") == (Case("nano", (1080, 1920)), Case("dw", (480, 640), "fp32"))
    assert [case.reference_frames for case in ALL_CASES[::3]] == [200, 96, 66, 29]
    for text in ("dw", "big-480x640", "dw-480", "dw-480x640-int4", "dw-480x640-fp16-x"):
        with pytest.raises(MeasurementError, match="is no case; expected VARIANT-SIZE"):
            Case.parse(text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "dw-1x"], "is no case"),
        (["--python", "tensorflow=python3"], "is not PART=PYTHON with PART one of tensorrt, rtx, standin, ort, torch"),
        (["--parts", "tensorrt,keras"], "unknown parts ['keras']; expected some of tensorrt, rtx"),
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


def test_a_worker_that_hangs_or_dies(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    hangs = ProcessLink([sys.executable, "-c", "import time; time.sleep(60)"], log)
    assert hangs.alive
    with pytest.raises(MeasurementError, match=r"no answer to 'info' within 0 s; killed"):
        hangs.ask("info", timeout_s=0.2)
    hangs.close()
    assert not hangs.alive
    dies = ProcessLink([sys.executable, "-c", "import sys; sys.exit('no such library')"], log)
    with pytest.raises(MeasurementError, match=r"ended with status 1; .*no such library"):
        dies.ask("info", timeout_s=30)
    dies.close()
    dies.close()


def test_workers_end_at_the_same_time(tmp_path: Path) -> None:
    slow = "import sys, time; print(flush=True); sys.stdin.read(); time.sleep(2)"

    def start(part: str, python: str, folder: Path, log: Path) -> ProcessLink:
        return ProcessLink([python, "-c", slow], log)

    pool = WorkerPool(start, tmp_path / "log.txt")
    links = [pool.link(tmp_path, part, sys.executable) for part in ("tensorrt", "torch", "ort")]
    for link in links:
        link._lines.get(timeout=30)  # it runs
    begun_s = monotonic()
    pool.close()
    assert monotonic() - begun_s < 5
    assert not any(link.alive for link in links)


def test_a_stop_ends_the_wait_for_a_worker_and_for_a_program(tmp_path: Path) -> None:
    log, sleep = tmp_path / "log.txt", "import time; time.sleep(60)"
    (tmp_path / "sleeper.py").write_text(sleep)
    stopped = threading.Event()
    threading.Timer(0.5, stopped.set).start()
    begun_s = monotonic()
    link = ProcessLink([sys.executable, "-c", sleep], log, stop=stopped.is_set)
    with pytest.raises(StopAsked):
        link.ask("info", timeout_s=60)
    link.close()
    with pytest.raises(StopAsked):
        run_module(sys.executable, ["timeit", sleep], log, limit_s=60, stop=stopped.is_set)
    assert monotonic() - begun_s < 10


def test_a_program_that_is_too_slow_is_ended(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="timeit took longer than 1 s and was ended"):
        run_module(sys.executable, ["timeit", "import time; time.sleep(60)"], tmp_path / "log.txt", limit_s=1)


def test_signals_to_the_group_do_not_reach_a_worker(tmp_path: Path) -> None:
    """Ctrl-C and ``timeout`` signal the whole group; the report must still be able to ask its workers."""
    code = (
        "import os, signal, sys, time, pathlib\n"
        "from mostnet.bench.gpu.link import ProcessLink\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)  # a program that it starts does not inherit this\n"
        "link = ProcessLink([sys.executable, '-c', 'import time; time.sleep(60)'], pathlib.Path(sys.argv[1]))\n"
        "os.killpg(0, signal.SIGTERM)\n"
        "time.sleep(0.5)\n"
        "print(link.alive)\n"
        "link._process.kill()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log")], capture_output=True, text=True, start_new_session=True
    )
    assert done.stdout.strip() == "True", done.stderr


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
