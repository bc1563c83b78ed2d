"""The order of the work of a report, and what fits into its time; all on made-up clocks."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mostnet.bench.gpu.agenda import REHEARSED, ReportOptions, agenda
from mostnet.bench.gpu.cases import ALL_CASES, Case
from mostnet.bench.gpu.schedule import GUESSES_S, Schedule, WorkStep, shuffled
from mostnet.contract import MeasurementError

DW, NANO, LARGE = Case("dw", (480, 640)), Case("nano", (480, 640)), Case("dw", (1080, 1920))


def guess_s(kind: str, case: Case) -> float:
    return WorkStep.guessed(kind, case).guess_s


class ManualClock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def refuse(self) -> None:
        self.now_s += 1.0
        raise MeasurementError("refused")


def keys(*parts: str, **options: Any) -> list[str]:
    pythons = dict.fromkeys(parts, "python")
    return [item.key for item in agenda(ReportOptions(out=Path(), cases=Path(), pythons=pythons, **options))]


def test_work_is_ordered_by_worth_across_cases() -> None:
    found = keys("tensorrt", "rtx", "torch")
    assert found[:15] == [
        "check nano-480x640-fp16 tensorrt",
        "check nano-480x640-fp16 rtx",
        "check dw-480x640-fp16 tensorrt",
        "check dw-480x640-fp16 rtx",
        "time dw-480x640-fp16 tensorrt+rtx+torch",
        "peaks dw-480x640-fp16",
        "check dw-800x800-fp16 tensorrt",
        "check dw-800x800-fp16 rtx",
        "time dw-800x800-fp16 tensorrt+rtx+torch",
        "paced dw-480x640-fp16 stream at 60 FPS",
        "paced dw-480x640-fp16 stream at 30 FPS",
        "paced dw-480x640-fp16 stream at 25 FPS",
        "paced dw-480x640-fp16 infer at 60 FPS",
        "soak dw-480x640-fp16",
        "time dw-480x640-fp16 torch compile-reduce-overhead",
    ]
    assert len(found) == len(set(found))
    assert {f"time {case.name} tensorrt+rtx+torch" for case in ALL_CASES} < set(found)
    assert {f"check {case.name} rtx" for case in ALL_CASES} < set(found)


def test_a_case_is_checked_before_it_is_timed() -> None:
    found = keys("tensorrt", "standin", "ort", "torch")
    for case in ALL_CASES:
        for part in ("tensorrt", "stand-in", "ort"):
            assert found.index(f"check {case.name} {part}") < found.index(
                f"time {case.name} tensorrt+stand-in+torch+ort"
            )


def test_the_compiled_variant_of_less_worth_comes_later() -> None:
    items = agenda(ReportOptions(out=Path(), cases=Path(), pythons={"torch": "python"}))
    first = next(item for item in items if item.kind == "time")
    assert [method for _, method in first.methods] == ["eager-fp32", "eager-tf32", "eager-fp16", "compile-cuda-graph"]
    assert [item.methods for item in items[-11:]] == [(("torch", "compile-reduce-overhead"),)] * 11, (
        "that of dw is earlier"
    )


def test_the_stand_in_is_also_timed_with_known_computing_times() -> None:
    found = keys("standin", "torch")
    first = found.index("time nano-480x640-fp16-0.3ms stand-in")
    assert found[first : first + 4] == [
        "time nano-480x640-fp16-0.3ms stand-in",
        "time nano-480x640-fp16-0.6ms stand-in",
        "time nano-480x640-fp16-1ms stand-in",
        "check dw-800x800-fp16 stand-in",
    ]
    assert not any("ms" in key for key in keys("tensorrt", "torch"))


def test_chosen_cases_alone() -> None:
    found = keys("tensorrt", only=(Case("sw", (480, 640)),))
    assert found == [
        "check sw-480x640-fp16 tensorrt",
        "time sw-480x640-fp16 tensorrt",
        "peaks sw-480x640-fp16",
        *(f"paced sw-480x640-fp16 stream at {fps} FPS" for fps in (60, 30, 25)),
        "paced sw-480x640-fp16 infer at 60 FPS",
        "soak sw-480x640-fp16",
    ]


def test_chosen_kinds_alone() -> None:
    assert keys("tensorrt", only=(NANO, DW), kinds=("check", "time")) == [
        "check nano-480x640-fp16 tensorrt",
        "check dw-480x640-fp16 tensorrt",
        "time dw-480x640-fp16 tensorrt",
        "time nano-480x640-fp16 tensorrt",
    ]


def test_a_rehearsal_compiles_nothing() -> None:
    only = (REHEARSED.main, REHEARSED.large)
    options = ReportOptions(out=Path(), cases=Path(), only=only, roles=REHEARSED, rehearse=True)
    assert not any("compile" in method for item in agenda(options) for _, method in item.methods)


def test_a_step_that_was_measured_takes_as_long_again() -> None:
    clock = ManualClock()
    schedule = Schedule(100.0, clock=clock)
    step = WorkStep("build tensorrt", "dw", 120.0)
    assert schedule.shortage([step]) == "needs about 120 s; 100 s were left"
    with schedule.timed(step):
        clock.now_s += 30.0
    assert schedule.estimate_s([step, step]) == 60.0
    assert schedule.shortage([step, step]) is None
    clock.now_s += 11.0
    assert schedule.shortage([step, step]) == "needs about 60 s; 59 s were left"


def test_other_steps_of_the_kind_are_corrected_by_the_median() -> None:
    clock = ManualClock()
    schedule = Schedule(clock=clock)
    for took_s in (10.0, 20.0, 400.0):
        with schedule.timed(WorkStep("open compile", f"case {took_s}", 10.0)):
            clock.now_s += took_s
    assert schedule.estimate_s([WorkStep("open compile", "another", 30.0)]) == 60.0
    assert schedule.estimate_s([WorkStep("open eager", "another", 30.0)]) == 30.0


def test_a_failed_step_corrects_nothing() -> None:
    clock = ManualClock()
    schedule = Schedule(clock=clock)
    step = WorkStep("build rtx", "dw", 60.0)
    with pytest.raises(MeasurementError), schedule.timed(step):
        clock.refuse()
    assert schedule.estimate_s([step]) == 60.0


def test_guesses_grow_with_network_and_frame() -> None:
    dw, nano, large = (guess_s("build rtx", case) for case in (DW, NANO, LARGE))
    assert nano < dw == GUESSES_S["build rtx"] < large


def test_a_reference_has_as_many_pixels_at_every_size() -> None:
    """What takes long is the export, and for nano the drawing of teeth."""
    for kind in ("prepare", "check"):
        assert guess_s(kind, DW) == guess_s(kind, LARGE) == GUESSES_S[kind]
    assert guess_s("prepare", NANO) == GUESSES_S["prepare"] + 12.0
    assert guess_s("check", NANO) == GUESSES_S["check"]


def test_without_a_limit_everything_fits() -> None:
    assert Schedule().shortage([WorkStep("prepare", "dw", 1e9)]) is None


def test_neighbours_change_from_round_to_round_but_not_from_run_to_run() -> None:
    methods = list("abcdefgh")
    rounds = [shuffled(methods, f"case {number}") for number in range(5)]
    assert rounds == [shuffled(methods, f"case {number}") for number in range(5)]
    assert all(sorted(order) == methods for order in rounds)
    neighbours = [set(pairwise(order)) for order in rounds]
    assert all(len(one & two) <= 3 for one, two in pairwise(neighbours)), "rotation would keep all but one"
