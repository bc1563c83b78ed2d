"""The goals, the page and the picture of a report, on made-up figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mostnet.bench.gpu import report as gpu_report
from mostnet.bench.gpu.plot import draw
from mostnet.bench.gpu.render import markdown
from mostnet.bench.gpu.rows import FILE, load
from mostnet.bench.gpu.targets import MET, MISSED, NOT_MEASURED, REHEARSED, GoalResult, evaluate
from mostnet.contract import MeasurementError
from mostnet.contract.versions import mostnet_version

from .made_up import CHECK, LARGE, MAIN, Bench, make_case, rows_of

Capture = pytest.CaptureFixture[str]

SPEED = {"at least 500 FPS", "at least 250 FPS", "roofline", "eager FP32", "torch.compile"}
RUNTIME = {"bare enqueue loop", "host time", "camera at 60 FPS", "Python memory"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, only=(CHECK, MAIN, LARGE))


def goal(document: dict[str, Any], words: str) -> GoalResult:
    (found,) = [result for result in evaluate(document) if words in result.goal]
    return found


def verdicts(document: dict[str, Any], words: set[str]) -> set[str]:
    return {goal(document, each).verdict for each in words}


def test_goals_are_met_missed_or_not_measured(bench: Bench) -> None:
    _, document = bench.run()
    assert [result.verdict for result in evaluate(document)] == [MET] * 11
    rows = rows_of(document)
    rows["stream"]["fps_rounds"] = [900.0] * 3
    rows["infer"]["p50_rounds"] = [1.6] * 3
    rows["eager-tf32"]["fps"] = 300.0
    rows["compile-cuda-graph"]["fps_rounds"] = [800.0] * 3
    rows_of(document, LARGE)["stream"]["fps"] = 240.0
    document["cases"][MAIN.name]["paced"][0]["p999_ms"] = 4.1
    document["cases"][CHECK.name]["accuracy"]["tensorrt"]["broken_frames"] = [1, 2]
    missed = [result.goal for result in evaluate(document) if result.verdict == MISSED]
    assert missed == [
        "nano-480x640-fp16: every frame within the accuracy bounds",
        "dw-800x800-fp16: stream at least 250 FPS",
        "dw-480x640-fp16: at least 4.8x PyTorch eager FP32, TF32 on",
        "dw-480x640-fp16: at least 1.3x torch.compile FP16 with CUDA graphs, the faster of the two ways",
        "stream within 5 % of the bare enqueue loop, every case",
        "infer under 100 us of host time beyond copies and compute, every case",
        "camera at 60 FPS: p99.9 under 2x p50",
    ]
    assert goal(document, "bare enqueue").found == f"90 % at worst ({MAIN.name})"
    assert goal(document, "camera").found == f"2.05x at worst ({MAIN.name})"
    assert goal(document, "nano-480x640").found == f"beyond them: {CHECK.name} on TensorRT: 2 frames"
    document["cases"] = {}
    assert {result.verdict for result in evaluate(document)} == {NOT_MEASURED}


def test_the_rounds_of_a_median_near_its_bound_are_told(bench: Bench) -> None:
    _, document = bench.run()
    rows_of(document)["stream"]["fps_rounds"] = [800.0, 951.0, 1001.0]
    found = goal(document, "bare enqueue")
    assert (found.verdict, found.found) == (MET, f"95.1 % at worst ({MAIN.name}; rounds 80 to 100.1)")


def test_memory_that_a_method_did_not_add_is_a_dash(bench: Bench) -> None:
    _, document = bench.run()
    for found_mib in (None, 0.0, -4186.0):  # an earlier version kept what the GPU lost when other methods ended
        rows_of(document)["infer"]["vram_mib"] = found_mib
        infer = [line for line in markdown(document).splitlines() if line.startswith("| TensorRT: infer |")]
        assert [line.split(" | ")[-2] for line in infer] == ["-"] * 3, found_mib


def test_pytorch_that_waits_for_its_host_is_told(bench: Bench) -> None:
    """Half precision takes as long as single precision, so the GPU is not the limit."""
    _, document = bench.run()
    assert "Eager PyTorch takes" not in markdown(document)
    rows_of(document)["eager-fp16"]["gpu_ms"] = 8.77
    rows_of(document)["eager-tf32"]["gpu_ms"] = 8.12
    assert markdown(document).count("Eager PyTorch takes 8.77 ms in FP16 and 8.12 ms in FP32 with TF32 on: ") == 1


def test_the_page_says_where_the_time_went(bench: Bench) -> None:
    _, document = bench.run()
    assert "- time: round 90.0 s (90 times), " in markdown(document)
    del document["steps"]
    assert "- time:" not in markdown(document), "a report of an earlier version"


def test_one_compiled_variant_alone_says_so(bench: Bench) -> None:
    bench.broken = {"open compile-reduce-overhead"}
    _, document = bench.run()
    assert goal(document, "torch.compile").found == "1.414x (compile-reduce-overhead not measured)"


def test_accuracy_names_the_runtimes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=(CHECK, MAIN), parts=("tensorrt", "rtx", "ort"))
    _, document = bench.run()
    assert (
        goal(document, "nano-480x640-fp16: every frame").found == "9 frames on TensorRT, TensorRT for RTX, ONNX Runtime"
    )


def test_the_stand_in_is_judged_on_the_runtime_and_not_on_speed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=(CHECK, MAIN, LARGE), parts=("standin",))
    for compute_ms in (0.3, 0.6, 1.0):
        make_case(bench.cases, CHECK.__class__("nano", (480, 640), "fp16", compute_ms), ("standin",))
    _, document = bench.run()
    assert verdicts(document, SPEED) == {NOT_MEASURED}
    assert verdicts(document, RUNTIME) == {MET}
    assert goal(document, "bare enqueue").found.endswith("on the stand-in for TensorRT)")
    text = markdown(document)
    assert "| stand-in: stream | 990 |" in text
    assert "## nano-480x640-fp16-0.3ms\n\n- The runtime alone: the stand-in computes for at least 0.3 ms" in text


def test_the_stand_in_proves_no_accuracy_of_tensorrt(tmp_path: Path) -> None:
    bench = Bench(tmp_path, only=(CHECK, MAIN), parts=("standin",))
    _, document = bench.run(limit_s=60.0)
    found = goal(document, "nano-480x640-fp16: every frame")
    assert (found.verdict, found.found) == (
        NOT_MEASURED,
        "stand-in only: the runtime's hand-over is right (nano-480x640-fp16)",
    )
    headline = "**No TensorRT gave results. The stand-in for it ran PyTorch: its figures tell of the runtime alone."
    assert markdown(document).split("\n")[2].startswith(headline)
    document["cases"][CHECK.name]["accuracy"]["standin"]["broken_frames"] = [1]
    found = goal(document, "nano-480x640-fp16: every frame")
    assert (found.verdict, found.found) == (MISSED, "beyond them: nano-480x640-fp16 on stand-in: 1 frames")


def test_tensorrt_on_one_case_does_not_vouch_for_the_stand_in_on_another(bench: Bench) -> None:
    _, document = bench.run()
    assert "No TensorRT" not in markdown(document)
    record = document["cases"][LARGE.name]
    record["accuracy"] = {"standin": record["accuracy"]["tensorrt"]}
    for row in record["rows"]:
        row["part"] = "standin" if row["part"] == "tensorrt" else row["part"]
    rows_of(document, LARGE)["stream"]["fps_rounds"] = [960.0] * 3
    record["soak"] = {"part": "standin", "python_blocks": 7}
    document["cases"][MAIN.name]["paced"][0]["part"] = "ort"
    assert goal(document, "bare enqueue").found == f"96 % at worst ({LARGE.name}, on the stand-in for TensorRT)"
    assert goal(document, "Python memory").found.endswith(f"({LARGE.name}, on the stand-in for TensorRT)")
    assert goal(document, "host time").found == f"50 us at worst ({CHECK.name})"
    assert goal(document, "camera").found.endswith(f"({MAIN.name}, on ONNX Runtime)")
    assert goal(document, "other cases: every frame").found == (
        f"3 frames on TensorRT; stand-in only: the runtime's hand-over is right ({LARGE.name})"
    )


def test_the_ratio_to_a_compiled_method_is_of_the_rounds_beside_it(bench: Bench) -> None:
    _, document = bench.run()
    rows_of(document)["stream"]["fps_rounds"] = [990.0] * 3 + [840.0] * 3
    assert goal(document, "torch.compile").found == "1.2x"


def test_tensorrt_for_rtx_counts_where_classic_tensorrt_is_missing(tmp_path: Path) -> None:
    _, document = Bench(tmp_path, only=(MAIN,), parts=("rtx",)).run()
    assert goal(document, "500 FPS").verdict == MET


def test_roofline_is_the_longer_of_arithmetic_and_memory(bench: Bench) -> None:
    _, document = bench.run()
    assert goal(document, "roofline").found == "19.52 %"  # 138 GFLOP at 700 TFLOP/s take 0.197 of a frame's 1.01 ms
    document["cases"][MAIN.name]["facts"]["least_bytes"] = 9e8  # 0.3 ms at 3,000 GB/s
    assert goal(document, "roofline").found == "29.7 %"
    document["peaks"]["source"] = "copies measured, FLOPs by the data sheet"
    assert goal(document, "roofline").found.endswith("(peaks: copies measured, FLOPs by the data sheet)")


def test_a_page(bench: Bench) -> None:
    bench.broken = {"open compile-cuda-graph", "soak"}
    _, document = bench.run(minutes=9.0)
    document["machine"].update(cpu="Test CPU", cores=4)
    text = markdown(document)
    for line in (
        "# GPU report: Test H100",
        f"- mostnet {mostnet_version()}; CPU: Test CPU, 4 cores usable; 9 min at most\n",
        "driver 580, GPU at 1980 MHz before the run",
        "- TensorRT: python 3.12",
        "- ONNX Runtime, left out: onnxruntime cannot be imported",
        "| TensorRT: stream | 990 | 3 | 3 | 1.01 | 100 | 3 |",
        "| PyTorch: eager FP32, TF32 off | 100 |",
        "| PyTorch: compiled FP16, own CUDA graph | open compile-cuda-graph is broken |",
        "138.0 GFLOP, at least 70.0 MB a frame; roofline 0.197 ms; seeded, untrained.",
        "`stream` over bare enqueue 99 %; `infer` beyond copies and compute 50 us",
        "TensorRT, worst of 3 frames: PSNR infinite, EPE 0 px, IoU 1.0000; 0 frames beyond the bounds.",
        "GPU after each round: 1980 to 1980 MHz.",
        "| TensorRT: 60 FPS, stream | 2 | 2.5 | 3 | 3.5 | 9 | 0.1 % | 1200 | 1200 / 1500 / 1980 |",
        "- Published: 105 ms of added delay measurably worsen a surgeon's work (Kumcu et al. 2016",
        f"| soak {MAIN.name} | failed | soak is broken |",
    ):
        assert line in text, line
    assert "ehears" not in text


def test_errors_keep_to_their_lines_and_cells(bench: Bench) -> None:
    _, document = bench.run()
    error = "Error Code 4:\n\n| bad\tplan " + "x" * 400
    rows_of(document)["stream"].update(error=error)
    rows_of(document)["infer"].update(error=error, fps=None)
    document["work"]["soak"] = {"state": "failed", "note": error}
    document["left_out"]["ort"] = error
    text = markdown(document)
    shown = f"Error Code 4: / bad plan {'x' * 172}..."
    assert len(shown) == 200
    for line in (
        f"| TensorRT: stream (then failed: {shown}) | 990 |",
        f"| TensorRT: infer | {shown} | | | | | 0 |",
        f"| soak | failed | {shown} |",
        f"- ONNX Runtime, left out: {shown}",
    ):
        assert line in text, line


def test_late_frames_in_percent(bench: Bench) -> None:
    _, document = bench.run()
    for run, share in zip(document["cases"][MAIN.name]["paced"], (1.0, 0.0, 0.0004, 0.0006), strict=True):
        run["late_share"] = share
    text = markdown(document)
    assert all(f"| 9 | {share} % |" in text for share in ("100.0", "0.0", "0.1"))


def test_a_rehearsal_says_so_everywhere(bench: Bench) -> None:
    _, document = bench.run(rehearse=True)
    text = markdown(document)
    assert text.startswith("# GPU report, REHEARSAL without a GPU\n\n**Rehearsal on a simulated GPU: no figure on this")
    assert "| goal (rehearsal) | found | verdict |" in text
    assert f"## {MAIN.name} (rehearsal)" in text
    assert "**met**" not in text and "**missed**" not in text
    assert {result.verdict for result in evaluate(document)} == {REHEARSED, NOT_MEASURED}
    plain = draw({**document, "rehearsal": False})
    assert draw(document) != plain


def test_a_short_run_of_the_camera_has_no_far_percentile(bench: Bench) -> None:
    _, document = bench.run()
    for run in document["cases"][MAIN.name]["paced"]:
        run["p999_ms"] = None
    assert goal(document, "camera").verdict == NOT_MEASURED
    assert "| TensorRT: 60 FPS, stream | 2 | 2.5 | 3 | - | 9 |" in markdown(document)
    assert draw(document) is not None


def test_a_picture(bench: Bench) -> None:
    _, document = bench.run()
    picture = draw(document)
    assert picture is not None and picture.startswith(b"\x89PNG")
    document["cases"] = {}
    assert draw(document) is None


def test_a_page_of_a_run_that_measured_nothing(bench: Bench) -> None:
    _, document = bench.run(limit_s=1.0)
    text = markdown(document)
    assert "## Not measured, or not completely" in text
    assert f"| check {CHECK.name} tensorrt | skipped | needs about " in text


def test_render_makes_files_of_an_earlier_report(bench: Bench, capsys: Capture) -> None:
    bench.run()
    again = bench.out / "again"
    assert gpu_report.main([str(again), "--render", str(bench.out / FILE)]) == 0
    assert sorted(path.name for path in again.iterdir()) == ["gpu_report.md", "gpu_report.png"]
    assert "met          dw-480x640-fp16: stream at least 500 FPS" in capsys.readouterr().out


def test_a_plot_needs_matplotlib(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    bench.run()
    monkeypatch.setattr(gpu_report, "find_spec", lambda name: None)
    assert gpu_report.main([str(bench.out), "--render", str(bench.out / FILE)]) == 0
    assert "no plot: matplotlib is not installed; --render gpu_report.json draws one" in capsys.readouterr().out
    assert not (bench.out / "gpu_report.png").exists()


@pytest.mark.parametrize("content", ["{", '{"format_version": 1}', "[]"])
def test_a_file_that_is_no_report(tmp_path: Path, content: str, capsys: Capture) -> None:
    (tmp_path / FILE).write_text(content)
    assert gpu_report.main([str(tmp_path), "--render", str(tmp_path / FILE)]) == 1
    assert "not a report" in capsys.readouterr().err
    with pytest.raises(MeasurementError, match="not a report"):
        load(tmp_path / FILE)


def test_the_json_has_no_infinities(bench: Bench) -> None:
    _, document = bench.run()
    assert "Infinity" not in json.dumps(document) and "NaN" not in json.dumps(document)
