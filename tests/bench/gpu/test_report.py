"""The logic of the report, on workers with made-up figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from mostnet.bench.gpu import measure as gpu_measure
from mostnet.bench.gpu import report as gpu_report
from mostnet.bench.gpu.cases import ALL_CASES, Case, ReportOptions, is_built, parse_cases
from mostnet.bench.gpu.link import ProcessLink
from mostnet.bench.gpu.measure import Measurement
from mostnet.bench.gpu.render import draw, markdown
from mostnet.bench.gpu.rows import FILE, load
from mostnet.bench.gpu.targets import MET, MISSED, NOT_MEASURED, evaluate
from mostnet.contract import MeasurementError
from tests.engine.plan_setup import write_plan

#: Frames per second and latency in ms of the made-up methods.
FIGURES = {
    "tensorrt": {
        "infer": (700.0, 1.45),
        "stream": (990.0, 3.0),
        "enqueue": (1000.0, None),
        "enqueue+copies": (720.0, 1.40),
    },
    "torch": {
        "eager-fp32": (100.0, 10.0),
        "eager-tf32": (200.0, 5.0),
        "compile-reduce-overhead": (600.0, 2.0),
        "compile-cuda-graph": (700.0, 1.9),
    },
}
MAIN = Case("dw", (480, 640))
OTHER = Case("nano", (480, 640))


class FakeLink:
    """Answers like a worker. ``broken`` names the requests that fail; ``asked`` lists the rounds of all links."""

    def __init__(self, part: str, asked: list[tuple[str, str]], broken: set[str], path: Path) -> None:
        self.part, self.asked, self.broken, self.path = part, asked, broken, path
        self.saved: list[int] = []
        self.folder = Path()
        self.closed = False

    def ask(self, do: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        assert timeout_s > 0
        method = arguments.get("method", "")
        if self.broken & {do, f"{do} {method}", f"{self.part} {do}"}:
            raise MeasurementError(f"{do} {method} is broken")
        if do == "info":
            return {"methods": list(FIGURES[self.part]), "versions": {"python": "3.12"}}
        if do == "peaks":
            return {"matmul_tflop_s": 700.0, "memcpy_gb_s": 3000.0}
        if do == "copy_peak":
            return {"memcpy_gb_s": 2900.0}
        if do == "soak":
            return {"python_blocks": 3, "frames": 10}
        if do == "outputs":
            arrays = dict(np.load(Path(arguments["path"]).parent / "reference.npz"))
            np.savez(arguments["path"], finite=np.ones(len(arrays["mask"]), bool), **arrays)
            return {}
        if do == "round":
            self.saved.append(sum(row["rounds"] for row in last_rows(self.path)))
            self.asked.append((self.part, method))
            fps, latency_ms = FIGURES[self.part][method]
            return {"fps": fps, "gpu_ms": 1e3 / fps, **({} if latency_ms is None else {"samples_ms": [latency_ms] * 9})}
        return {}

    def close(self) -> None:
        self.closed = True


def last_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of the last case in the JSON on disk, which a run that is cut short would leave."""
    return list(json.loads(path.read_text())["cases"].values())[-1]["rows"]


def make_case(root: Path, case: Case) -> None:
    folder = root / case.name
    folder.mkdir(parents=True)
    write_plan(folder / "case.plan", flavour="tensorrt")
    (folder / "case.json").write_text('{"flops": 138e9, "weight_bytes": 6e7, "least_bytes": 7e7}')
    (folder / "request.json").touch()
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    np.savez(folder / "reference.npz", enhanced=picture, flow=np.ones((3, 2, 8, 8), np.float32), mask=picture[..., 0])


class Bench:
    """A report on two made-up cases."""

    def __init__(self, folder: Path) -> None:
        self.out, self.cases = folder / "out", folder / "cases"
        self.asked: list[tuple[str, str]] = []
        self.links: list[FakeLink] = []
        self.broken: set[str] = set()
        self.out.mkdir()
        for case in (MAIN, OTHER):
            make_case(self.cases, case)

    def start(self, part: str, python: str, folder: Path, log: Path) -> FakeLink:
        assert folder.parent == self.cases
        self.links.append(FakeLink(part, self.asked, self.broken, self.out / FILE))
        self.links[-1].folder = folder
        return self.links[-1]

    def run(self, *, deadline_s: float | None = None, **options: Any) -> tuple[bool, dict[str, Any]]:
        options = {"only": (MAIN, OTHER), "rounds": 3, "pythons": {"tensorrt": "a", "torch": "b"}, **options}
        memory = iter(range(100, 100_000, 7))
        measurement = Measurement(
            ReportOptions(out=self.out, cases=self.cases, **options),
            deadline_s=deadline_s,
            start=self.start,
            gpu=lambda: {"name": "Test H100", "driver": "580", "memory_mib": next(memory)},
        )
        return measurement.run(), json.loads((self.out / FILE).read_text())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    return {target.goal.split(":")[-1].split(",")[0].strip(): target.verdict for target in evaluate(document)}


def test_every_round_is_in_the_file_before_the_next(bench: Bench) -> None:
    complete, document = bench.run(only=(MAIN,))
    assert complete
    counts = sorted(count for link in bench.links for count in link.saved)
    assert counts == list(range(8 * 3)), "a run that is cut short must leave every round before"
    assert all(link.closed for link in bench.links)
    rows = document["cases"][MAIN.name]["rows"]
    assert [(row["part"], row["method"]) for row in rows] == [(p, m) for p, found in FIGURES.items() for m in found]
    infer = rows[0]
    assert (infer["fps"], infer["p50_ms"], infer["p99_ms"], infer["samples"]) == (700.0, 1.45, 1.45, 27)
    assert infer["vram_mib"] == 7
    assert rows[2]["p50_ms"] is None, "the bare enqueue loop waits for no frame"


def test_methods_take_turns(bench: Bench) -> None:
    bench.run(only=(MAIN,))
    order = [f"{part}:{method}" for part, method in bench.asked]
    first, second = order[:8], order[8:16]
    assert sorted(first) == sorted(second)
    assert second == [*first[1:], first[0]], "another method begins each round"


def test_resume_keeps_only_complete_cases(bench: Bench) -> None:
    bench.broken = {"round eager-tf32"}
    complete, document = bench.run()
    assert not complete
    assert [record["complete"] for record in document["cases"].values()] == [False, False]
    bench.broken = set()
    assert bench.run(only=(MAIN,), resume=True)[0]
    bench.asked.clear()
    complete, document = bench.run(resume=True)
    assert complete
    assert list(document["cases"]) == [MAIN.name, OTHER.name]
    assert len(bench.asked) == 8 * 3, "only the other case is measured again"


def test_resume_without_time_keeps_what_was_measured(bench: Bench) -> None:
    bench.broken = {"open compile-reduce-overhead"}
    _, before = bench.run(resume=True, only=(MAIN,))
    complete, after = bench.run(resume=True, only=(MAIN,), deadline_s=monotonic() + 5)
    assert not complete
    assert after["cases"] == before["cases"]
    assert after["cases"][MAIN.name]["rows"][0]["rounds"] == 3


def test_resume_begins_with_cases_that_have_no_figures(bench: Bench) -> None:
    bench.broken = {"open compile-reduce-overhead"}
    bench.run(resume=True, only=(MAIN,))
    bench.run(resume=True)
    names = [link.folder.name for link in bench.links]
    assert names == [MAIN.name] * 2 + [OTHER.name] * 2 + [MAIN.name] * 2


def test_without_resume_nothing_is_kept(bench: Bench) -> None:
    bench.run()
    _, document = bench.run(only=(OTHER,))
    assert list(document["cases"]) == [OTHER.name]


def test_failures_are_reported_and_the_rest_is_measured(bench: Bench) -> None:
    bench.broken = {"open compile-cuda-graph", "round eager-fp32", "outputs"}
    complete, document = bench.run(only=(MAIN,))
    assert not complete
    record = document["cases"][MAIN.name]
    errors = {row["method"]: row["error"] for row in record["rows"] if row["error"]}
    assert errors == {
        "compile-cuda-graph": "open compile-cuda-graph is broken",
        "eager-fp32": "round eager-fp32 is broken",
    }
    assert record["notes"] == ["accuracy not checked: outputs  is broken"]
    assert [row["rounds"] for row in record["rows"] if not row["error"]] == [3] * 6
    text = markdown(document)
    assert "| 1.65x (compile-cuda-graph not measured) | **met** |" in text
    assert "| torch: compile-cuda-graph | open compile-cuda-graph is broken |" in text
    assert "- accuracy not checked: outputs  is broken" in text


def test_a_part_that_does_not_start_leaves_the_others(bench: Bench) -> None:
    bench.broken = {"torch info"}
    complete, document = bench.run(only=(MAIN,))
    assert not complete
    assert document["cases"][MAIN.name]["notes"] == ["torch: info  is broken"]
    assert {row["part"] for row in document["cases"][MAIN.name]["rows"]} == {"tensorrt"}
    assert document["peaks"] == {
        "memcpy_gb_s": 2900.0,
        "matmul_tflop_s": 989.0,
        "source": "copies measured, FLOPs by the data sheet",
    }
    share = next(t for t in evaluate(document) if "roofline" in t.goal)
    assert share.found.endswith("(peaks: copies measured, FLOPs by the data sheet)")


def test_running_out_of_time_is_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 10))
    monkeypatch.setattr(gpu_measure, "monotonic", lambda: float(next(clock)))
    complete, document = bench.run(deadline_s=300.0)
    assert not complete
    first, second = document["cases"].values()
    assert first["notes"][0].startswith("time ran out in round")
    assert sum(row["rounds"] for row in first["rows"]) > 0
    assert second == {"rows": [], "notes": ["not measured: time ran out"], "complete": False}


def test_goals_are_met_missed_or_not_measured(bench: Bench) -> None:
    _, document = bench.run()
    assert list(verdicts(document).values()) == [MET] * 8
    rows = {row["method"]: row for row in document["cases"][MAIN.name]["rows"]}
    rows["stream"]["fps_rounds"] = [900.0] * 3
    rows["infer"]["p50_rounds"] = [1.6] * 3
    rows["eager-tf32"]["fps"] = 300.0
    rows["compile-cuda-graph"]["fps"] = 800.0
    document["cases"][MAIN.name]["accuracy"]["broken_frames"] = [2]
    missed = {goal for goal, verdict in verdicts(document).items() if verdict == MISSED}
    assert missed == {
        "every frame within the accuracy bounds of its precision",
        "at least 4.8x PyTorch eager FP32 with TF32",
        "at least 1.3x torch.compile FP16 with CUDA graphs",
        "stream within 5 % of the bare enqueue loop",
        "infer under 100 us beyond copies and compute",
    }
    stream = next(t for t in evaluate(document) if "bare enqueue" in t.goal)
    assert stream.found == f"90 % at worst ({MAIN.name})"
    assert set(verdicts({"cases": {}}).values()) == {NOT_MEASURED}


def test_roofline_is_the_longer_of_arithmetic_and_memory(bench: Bench) -> None:
    _, document = bench.run(only=(MAIN,))
    share = next(t for t in evaluate(document) if "roofline" in t.goal)
    assert share.found == "19.52 %"  # 138 GFLOP at 700 TFLOP/s take 0.197 ms of the 1.01 ms of a frame
    document["cases"][MAIN.name]["facts"]["least_bytes"] = 9e8  # 0.3 ms at 3,000 GB/s
    share = next(t for t in evaluate(document) if "roofline" in t.goal)
    assert share.found == "29.7 %"


def test_markdown_and_plot(bench: Bench) -> None:
    _, document = bench.run(only=(MAIN,))
    text = markdown(document)
    assert "# GPU report: Test H100" in text
    assert "| tensorrt: stream | 990 | 3 | 3 | 1.01 | 7 | 3 |" in text
    assert "138.0 GFLOP, at least 70.0 MB a frame; roofline 0.197 ms." in text
    assert "`stream` over bare enqueue 99 %; `infer` beyond copies and compute 50 us" in text
    assert "PSNR infinite, EPE 0 px, IoU 1.0000; 0 frames beyond the bounds" in text
    picture = draw(document)
    assert picture is not None and picture.startswith(b"\x89PNG")
    assert draw({"cases": {}}) is None


def test_render_makes_files_of_an_earlier_report(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.run(only=(MAIN,))
    again = bench.out / "again"
    assert gpu_report.main([str(again), "--render", str(bench.out / FILE)]) == 0
    assert sorted(path.name for path in again.iterdir()) == ["gpu_report.md", "gpu_report.png"]
    assert "met          dw FP16 480x640: stream at least 500 FPS" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["{", '{"format_version": 0}', "[]"])
def test_a_file_that_is_no_report(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FILE).write_text(content)
    assert gpu_report.main([str(tmp_path), "--render", str(tmp_path / FILE)]) == 1
    assert "not a report" in capsys.readouterr().err
    with pytest.raises(MeasurementError, match="not a report"):
        load(tmp_path / FILE)


def test_cases() -> None:
    assert [case.name for case in ALL_CASES[:4]] == [
        "dw-480x640-fp16",
        "sw-480x640-fp16",
        "nano-480x640-fp16",
        "dw-720x1280-fp16",
    ]
    assert len(ALL_CASES) == 9
    assert parse_cases("nano-1080p, dw-480x640-fp32") == (Case("nano", (1080, 1920)), Case("dw", (480, 640), "fp32"))
    assert [case.reference_frames for case in ALL_CASES[::3]] == [200, 66, 29]
    for text in ("dw", "big-480x640", "dw-480", "dw-480x640-int4", "dw-480x640-fp16-x"):
        with pytest.raises(MeasurementError, match="is no case; expected VARIANT-SIZE"):
            Case.parse(text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "dw-1x"], "is no case"),
        (["--python", "tensorflow=python3"], "is not PART=PYTHON with PART one of tensorrt, torch, ort"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        gpu_report.main([str(tmp_path), *arguments])
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="expected at least 1 round"):
        ReportOptions(out=tmp_path, cases=tmp_path, rounds=0)
    with pytest.raises(MeasurementError, match=r"unknown parts \['keras'\]"):
        ReportOptions(out=tmp_path, cases=tmp_path, pythons={"keras": "python"})


def test_a_case_that_cannot_be_made_is_noted(bench: Bench) -> None:
    missing = Case("sw", (480, 640))
    complete, document = bench.run(only=(missing, MAIN), pythons={"tensorrt": sys.executable})
    assert not complete
    note = document["cases"][missing.name]["notes"][0]
    assert note.endswith("that needs PyTorch: run mostnet.bench.gpu.prepare elsewhere")
    assert document["cases"][MAIN.name]["complete"]
    (bench.cases / MAIN.name / "case.plan").unlink()
    _, document = bench.run(only=(MAIN,), pythons={"tensorrt": sys.executable})
    note = document["cases"][MAIN.name]["notes"][0]
    assert note.startswith("mostnet.bench.gpu.build failed with status 1: mostnet.bench.gpu.build: "), note


def test_a_plan_counts_once_it_is_described_and_of_the_flavour(tmp_path: Path) -> None:
    make_case(tmp_path, MAIN)
    folder = tmp_path / MAIN.name
    assert is_built(folder, "tensorrt")
    assert not is_built(folder, "rtx")
    (folder / "case.plan.json").unlink()
    assert not is_built(folder, "tensorrt"), "a build that was cut off"


def test_a_worker_that_hangs_or_dies(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    hangs = ProcessLink([sys.executable, "-c", "import time; time.sleep(60)"], log)
    with pytest.raises(MeasurementError, match=r"no answer to 'info' within 0 s; killed"):
        hangs.ask("info", timeout_s=0.2)
    hangs.close()
    dies = ProcessLink([sys.executable, "-c", "import sys; sys.exit('no such library')"], log)
    with pytest.raises(MeasurementError, match=r"ended with status 1; .*no such library"):
        dies.ask("info", timeout_s=30)
    dies.close()
    dies.close()
