"""A report that goes on after a failure, in the same run or in a later one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mostnet.bench.gpu.rows import FILE
from mostnet.contract import MeasurementError

from .made_up import CHECK, FIGURES, MAIN, REST, Bench, make_computing_cases, rows_of, states

TIME = f"time {MAIN.name} tensorrt+torch"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_runtime_whose_check_failed_is_timed_once_its_check_passes(bench: Bench) -> None:
    bench.broken = {"tensorrt check"}
    _, document = bench.run()
    assert document["work"][TIME]["state"] == "done" and "stream" not in rows_of(document)
    bench.broken = set()
    complete, document = bench.run(resume=True)
    assert complete
    assert {method: row["rounds"] for method, row in rows_of(document).items() if method in FIGURES["tensorrt"]} == {
        "stream": 6,
        "infer": 3,
        "enqueue": 3,
        "enqueue+copies": 3,
    }


def test_a_check_that_is_tried_again_comes_before_the_work_that_needs_it(bench: Bench) -> None:
    bench.broken = {"tensorrt check"}
    _, document = bench.run()
    paced = f"paced {MAIN.name} stream at 60 FPS"
    assert document["work"][paced]["state"] == "skipped"
    bench.broken = set()
    bench.asked.clear()
    complete, document = bench.run(resume=True)
    assert complete, document["work"]
    assert sum(method == "eager-fp32" and do == "open" for _, _, do, method in bench.asked) == 1


def test_a_check_that_fails_again_does_not_hold_up_other_cases(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=(MAIN, CHECK), parts=("tensorrt",))
    bench.broken = {"tensorrt check"}
    bench.run()
    bench.asked.clear()
    bench.run(resume=True)
    checked = [name for name, _, do, _ in bench.asked if do == "check"]
    assert checked == [MAIN.name, CHECK.name], "nano, first in the agenda, has no other work before dw"


def test_a_stand_in_that_is_not_needed_stays_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, parts=("tensorrt", "standin"))
    complete, _ = bench.run()
    bench.asked.clear()
    again, _ = bench.run(resume=True)
    assert complete and again and bench.asked == []


def test_a_compiler_that_hangs_takes_nothing_from_the_other_methods(bench: Bench) -> None:
    bench.took_s["open compile-cuda-graph"] = 5000.0
    _, document = bench.run(limit_s=540.0)
    rounds = [do for _, _, do, method in bench.asked if method == "compile-cuda-graph" or do == "round"]
    assert rounds[: 7 * 3] == ["round"] * 7 * 3, "the compiler comes after the rounds of all others"
    assert "no answer to 'open' within 250 s" in rows_of(document)["compile-cuda-graph"]["error"], "half of the time"
    states = {key: one["state"] for key, one in document["work"].items()}
    assert states[f"soak {MAIN.name}"] == states[f"paced {MAIN.name} infer at 60 FPS"] == "done"


def test_without_a_limit_a_compiler_has_three_times_its_estimate(bench: Bench) -> None:
    bench.took_s["open compile-cuda-graph"] = 5000.0
    _, document = bench.run()
    assert "no answer to 'open' within 270 s" in rows_of(document)["compile-cuda-graph"]["error"]


def test_a_compiled_method_takes_its_rounds_in_turn_with_the_stream(bench: Bench) -> None:
    bench.run()
    rounds = bench.rounds()
    assert sorted(rounds[7 * 3 : 9 * 3]) == ["tensorrt:stream"] * 3 + ["torch:compile-cuda-graph"] * 3
    assert all(
        set(rounds[at : at + 2]) == {"tensorrt:stream", "torch:compile-cuda-graph"} for at in range(7 * 3, 9 * 3, 2)
    )


def test_the_estimate_of_the_peaks_counts_preparing_and_starting_pytorch(tmp_path: Path) -> None:
    """About 1 s to measure, 4 s to start PyTorch, and 22 s to prepare the case."""
    bench = Bench(tmp_path)
    bench.broken = {"tensorrt check"}
    (bench.cases / MAIN.name / "case.json").unlink()
    for limit_s in (14.0, 26.0):
        _, document = bench.run(limit_s=limit_s, resume=True)
        note = document["work"][f"peaks {MAIN.name}"]["note"]
        assert note == f"needs about 27 s; {limit_s:.0f} s were left"


def test_peaks_of_no_runtime_are_skipped(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.broken = {"tensorrt check"}
    _, document = bench.run(pythons={"tensorrt": bench.pythons["tensorrt"]})
    assert document["work"][f"peaks {MAIN.name}"]["note"] == "no runtime has given results for this case"


def test_without_resume_a_report_is_replaced_only_if_it_has_no_result(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=(MAIN, CHECK))
    bench.broken = {"check", "round", "peaks"}
    bench.run()
    bench.broken = set()
    _, document = bench.run(only=(CHECK,))
    assert list(document["cases"]) == [CHECK.name]
    with pytest.raises(MeasurementError, match=r"gpu_report\.json has results; --resume continues them, "):
        bench.run()
    assert bench.document() == document


@pytest.mark.parametrize(
    ("key", "value"), [("name", "Test A100"), ("driver", "570"), ("cpu", "Test CPU"), ("cores", 96)]
)
def test_the_figures_of_two_machines_are_not_mixed(bench: Bench, key: str, value: object) -> None:
    """A network that takes less than half a millisecond is as fast as the processor copies."""
    _, document = bench.run()
    document["machine"][key] = value
    (bench.out / FILE).write_text(json.dumps(document))
    with pytest.raises(MeasurementError, match=rf"another GPU, driver or processor \({key} {value}, now .*another OUT"):
        bench.run(resume=True)
    document["machine"] = {}
    (bench.out / FILE).write_text(json.dumps(document))
    assert bench.run(resume=True)[0], "nvidia-smi did not answer then"


def test_a_second_try_that_is_cut_short_keeps_the_figures_of_the_first(bench: Bench) -> None:
    bench.broken = {"open compile-cuda-graph"}
    _, document = bench.run()
    before = {method: row["fps"] for method, row in rows_of(document).items()}
    bench.broken = {"open eager-fp32"}
    bench.took_s.update({"open": 1.0, "round": 60.0})
    _, document = bench.run(resume=True, limit_s=50.0)
    assert document["work"][TIME]["note"].startswith("time ran out in round 1 of 3")
    rows = rows_of(document)
    assert {method: row["fps"] for method, row in rows.items()} == before
    assert rows["eager-fp32"]["error"] == "open eager-fp32 is broken"


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
