"""``mostnet-bench`` from its command line to its files, and its failures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mostnet.bench import cli as cli_module
from mostnet.bench import plot as plot_module
from mostnet.bench import runner as runner_module
from mostnet.bench.cli import main
from mostnet.bench.options import BenchOptions
from mostnet.bench.progress import PartProgress
from mostnet.contract import MostnetError, sha256
from mostnet.contract.shipped import checkpoint_path
from mostnet.engine import Output, Session
from mostnet.video.command import engines
from mostnet.video.reader import demo_clip

from .conftest import Small
from .test_frames import write_video

FAST = ["--frames", "10", "--warmup", "1", "--threads", "2", "--provider", "cpu"]


@pytest.fixture(scope="module")
def written(small: Small, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Folder and JSON of one whole run."""
    folder = tmp_path_factory.mktemp("bench")
    argv = ["--engine", str(small.engine), *FAST, "--seed", "5", "--compare", str(small.checkpoint)]
    argv += ["--json", str(folder / "out.json"), "--plot", str(folder / "out.png")]
    assert main(argv) == 0
    return folder, json.loads((folder / "out.json").read_text())


def spoil(monkeypatch: pytest.MonkeyPatch, change: Callable[[Output], dict[str, Any]]) -> None:
    """Make ``infer`` return results changed by ``change``."""
    original = Session.infer

    def infer(self: Session, frame: np.ndarray, **options: Any) -> Output:
        output = original(self, frame, **options)
        return output.replace(**change(output))

    monkeypatch.setattr(Session, "infer", infer)


def failure(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> str:
    """The single stderr line of a run that exits with 1 and prints no figures."""
    assert main([str(a) for a in argv]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mostnet-bench: ") and err.count("\n") == 1
    return err


def test_json_is_complete(written: tuple[Path, dict[str, Any]], small: Small) -> None:
    _, report = written
    assert report["format_version"] == 1
    assert report["command"].startswith("mostnet-bench --engine ") and "--seed 5" in report["command"]
    assert report["settings"] | {"slots": 3} == report["settings"]
    assert (report["settings"]["frames"], report["settings"]["warmup"], report["settings"]["threads"]) == (10, 1, 2)
    assert report["settings"]["seed"] == 5 and report["settings"]["source"] == "synthetic moving texture, seed 5"
    assert report["engine"]["file"] == "nano.onnx" and report["engine"]["sha256"] == sha256(small.engine)
    assert report["engine"]["provider"] == "cpu"
    metadata = report["engine"]["metadata"]
    assert (metadata["variant"], metadata["size_hw"], metadata["precision"]) == ("nano", [64, 96], "fp32")
    assert metadata["trained"] is False
    assert {"python", "mostnet", "onnxruntime", "numpy", "torch"} <= report["versions"].keys()
    assert {"cpu", "cores", "usable_cores", "memory_gib", "system"} <= report["machine"].keys()
    assert report["checked_frames"] == 10
    assert report["other_cores"].keys() == {"infer", "stream", "overhead", "comparison", "precisions"}


def test_json_agrees_with_its_samples(written: tuple[Path, dict[str, Any]]) -> None:
    _, report = written
    parts = [report["latency"], report["stream"]["intervals"], report["stream"]["latency"]]
    parts += [report[pair][side] for pair, side in (("overhead", "engine"), ("overhead", "raw"))]
    parts += [report["comparison"]["engine"], report["comparison"]["pytorch"]]
    for part in parts:
        samples = part["samples_ms"]
        assert len(samples) == 10 and min(samples) > 0
        assert [part[f"p{q}_ms"] for q in (50, 90, 99)] == pytest.approx(np.percentile(samples, (50, 90, 99)))
        assert part["max_ms"] == max(samples) and part["mean_ms"] == pytest.approx(np.mean(samples))
    overhead = report["overhead"]
    engine, raw = (np.array(overhead[side]["samples_ms"]) for side in ("engine", "raw"))
    assert overhead["ratio"] == pytest.approx(np.median(engine / raw))
    assert overhead["beyond_copies_ms"] == pytest.approx(np.median(engine - raw - overhead["copies_ms"]))
    assert overhead["target_ms"] == 0.2
    assert overhead["within_target"] is (overhead["beyond_copies_ms"] <= 0.2)
    assert report["stream"]["fps"] == pytest.approx(1e3 / report["stream"]["intervals"]["mean_ms"])
    assert report["verdict"]["real_time"] is (report["latency"]["p99_ms"] <= 40)
    assert 0 < sum(report["split"].values()) <= report["latency"]["mean_ms"], "the engine's clock runs within ours"


def test_comparison_is_checked_and_a_ratio(written: tuple[Path, dict[str, Any]]) -> None:
    comparison = written[1]["comparison"]
    assert comparison["speed_ratio"] == pytest.approx(comparison["pytorch"]["p50_ms"] / comparison["engine"]["p50_ms"])
    assert (comparison["checkpoint"], comparison["device"], comparison["threads"]) == ("nano.pt", "cpu", 2)
    assert comparison["psnr_db"] is None or comparison["psnr_db"] >= 55
    assert comparison["epe_px"] <= 0.01 and comparison["iou"] >= 0.999 and comparison["checked_frames"] == 10


def test_memory_grows_in_the_order_of_the_run(written: tuple[Path, dict[str, Any]]) -> None:
    memory = written[1]["memory"]
    if memory["peak_mib"] is not None:
        assert 0 < memory["before_opening_mib"] <= memory["peak_mib"]
        assert memory["opened_mib"] <= memory["peak_mib"] and memory["after_run_mib"] <= memory["peak_mib"]


def test_paced_runs_come_after_the_other_parts(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """150 frames of each run, in less than two seconds of a camera's time."""
    argv = ["--engine", str(small.engine), *FAST, "--paced", "300,600", "--minutes", "0.025"]
    argv += ["--json", str(tmp_path / "out.json"), "--plot", str(tmp_path / "out.png")]
    assert main(argv) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["format_version"] == 1 and report["settings"]["paced_frames"] == 150
    paced = report["paced"]
    assert len(paced["back_to_back"]["samples_ms"]) == 10
    runs = paced["runs"]
    assert [(run["how"], run["fps"]) for run in runs] == [
        ("stream", 300), ("infer", 300), ("stream", 600), ("infer", 600)
    ]  # fmt: skip
    for run in runs:
        samples = run["latency"]["samples_ms"]
        assert len(samples) == len(run["hand_over"]["samples_ms"]) == 150 - run["unserved"]
        waits = zip(run["hand_over"]["samples_ms"], samples, strict=True)
        assert all(wait_ms < latency_ms for wait_ms, latency_ms in waits)
        assert run["late"] == sum(sample > 1e3 / run["fps"] for sample in samples) + run["unserved"]
        assert run["late_share"] == run["late"] / 150
        assert run["slowdown"] == run["latency"]["p50_ms"] / paced["back_to_back"]["p50_ms"]
        assert run["cpu_ms"] > 0 and run["gpu_clock"] is None and run["latency"]["p999_ms"] is None
    parts = list(report["other_cores"])
    assert parts[:3] == ["infer", "stream", "overhead"]
    assert parts[3:] == ["back to back", *(f"{run['how']} at {run['fps']:g} FPS" for run in runs)]
    out = capsys.readouterr().out
    for text in ("Paced camera", "150 frames each", "stream at 300 FPS", "infer at 600 FPS", "105 ms of added delay"):
        assert text in out
    assert out.index("overhead") < out.index("Paced camera")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupt_of_a_paced_run_writes_nothing(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(self: PartProgress, part: str, done: int, frames: int) -> None:
        if part == "stream at 300 FPS" and done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(PartProgress, "update", interrupt)
    argv = ["--engine", str(small.engine), *FAST, "--paced", "300", "--json", str(tmp_path / "out.json")]
    assert main(argv) == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_plot_is_written(written: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = written
    png = (folder / "out.png").read_bytes()
    assert png.startswith(b"\x89PNG") and 10_000 < len(png) < 500_000
    assert sorted(path.name for path in folder.iterdir()) == ["out.json", "out.png"], "no temporary files are left"


def test_table_on_stdout(small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "clip.avi", 6)
    assert main(["--engine", str(small.engine), *FAST, "--video", str(video)]) == 0
    out, err = capsys.readouterr()
    for text in ("infer", "bare backend call", "real time", "25 FPS", "clip.avi", "untrained", "MiB resident"):
        assert text in out
    assert "PyTorch" not in out
    assert err == "", "progress is for terminals"


def test_bare_compare_finds_the_checkpoint_beside_the_engine(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--engine", str(small.engine), *FAST, "--json", str(tmp_path / "out.json"), "--compare"]
    assert main(argv) == 0
    assert json.loads((tmp_path / "out.json").read_text())["comparison"]["checkpoint"] == "nano.pt"
    capsys.readouterr()
    moved = shutil.copy(small.engine, tmp_path / "moved.onnx")
    shutil.copy(small.other_checkpoint, tmp_path / "other.pt")
    err = failure(capsys, "--engine", moved, *FAST, "--compare")
    assert "no .pt in this folder is the engine's checkpoint" in err and sha256(small.checkpoint)[:12] in err


def test_another_checkpoint_is_refused(small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_path = tmp_path / "out.json"
    argv = ["--engine", small.engine, *FAST, "--json", json_path, "--compare", small.other_checkpoint]
    err = failure(capsys, *argv)
    assert "other.pt: not the engine's checkpoint" in err
    assert sha256(small.checkpoint)[:12] in err and sha256(small.other_checkpoint)[:12] in err
    assert not json_path.exists()
    assert "no such checkpoint" in failure(capsys, "--engine", small.engine, *FAST, "--compare", tmp_path / "no.pt")
    for name, text in (
        ("nano", "nano.pt: not the engine's checkpoint"),
        ("mega", "mega: neither a file nor a shipped"),
    ):
        assert text in failure(capsys, "--engine", small.engine, *FAST, "--compare", name)


def test_an_engine_that_differs_from_pytorch_gets_no_figures(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    json_path = tmp_path / "out.json"
    spoil(monkeypatch, lambda output: {"flow": output.flow + np.float32(0.03)})
    argv = ["--engine", small.engine, *FAST, "--json", json_path, "--compare", small.checkpoint]
    err = failure(capsys, *argv)
    assert "differs from float32 PyTorch in 10 of 10 frames" in err and "EPE 0.0424 px" in err
    assert not json_path.exists()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda output: {"finite": False}, "a state or picture that is not finite in frame 0"),
        (lambda output: {"flow": output.flow * np.float32(np.nan)}, "flow is not finite in frame 0"),
        (lambda output: {"enhanced": np.full_like(output.enhanced, 7)}, "constant (every value 7), its input is not"),
    ],
)
def test_broken_outputs_get_no_figures(
    change: Callable[[Output], dict[str, Any]],
    text: str,
    small: Small,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(monkeypatch, change)
    assert text in failure(capsys, "--engine", small.engine, *FAST)


def test_missing_files(small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "gone.onnx: no such file" in failure(capsys, "--engine", tmp_path / "gone.onnx", *FAST)
    assert "gone.mp4" in failure(capsys, "--engine", small.engine, *FAST, "--video", tmp_path / "gone.mp4")


def test_a_plan_says_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "model.plan"
    plan.write_bytes(b"plan")
    assert "model.plan.json is missing" in failure(capsys, "--engine", plan, *FAST)


def test_missing_libraries_are_named_before_the_run(
    small: Small, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(plot_module, "find_spec", lambda name: None)
    monkeypatch.setattr(runner_module, "find_spec", lambda name: None)
    gone = tmp_path / "gone.onnx"  # not reached
    assert "'mostnet[plot]'" in failure(capsys, "--engine", gone, *FAST, "--plot", tmp_path / "x.png")
    assert "'mostnet[export]'" in failure(capsys, "--engine", gone, *FAST, "--compare", small.checkpoint)


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_place_that_cannot_be_written_is_found_before_the_run(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone.onnx"  # not reached
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    places = {
        "folder.png": "folder.png: is a folder; give the name of a file",
        "file/out.png": "Not a directory",
        "x" * 300 + ".png": "File name too long",
    }
    for place, text in places.items():
        assert text in failure(capsys, "--engine", gone, *FAST, option, tmp_path / place)
    assert "gone.onnx" in failure(capsys, "--engine", gone, *FAST, option, tmp_path / "new" / "out.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"], "trying leaves nothing behind"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--frames", "9"], "frames is 9; expected at least 10"),
        (["--warmup", "-1"], "warmup is -1; expected at least 0"),
        (["--threads", "0"], "threads is 0; expected at least 1"),
        (["--seed", "-1"], "seed is -1; expected at least 0"),
        (["--plot", "x.jpg"], "'x.jpg' does not end in .png"),
        (["--provider", "tpu"], "invalid choice: 'tpu'"),
        (
            ["--paced", "25;30"],
            "'25;30' is not a list of rates; expected frames per second with commas",
        ),
        (["--paced", "25,,30"], "for example 25,30,60"),
        (["--paced", ""], "for example 25,30,60"),
        (["--paced", "25,0"], "a paced rate is 0 FPS; expected 1 to 1000, for example --paced 25,30,60"),
        (["--paced", "-25"], "a paced rate is -25 FPS; expected 1 to 1000"),
        (["--paced", "nan"], "a paced rate is nan FPS; expected 1 to 1000"),
        (["--paced", "1001"], "a paced rate is 1001 FPS; expected 1 to 1000"),
        (["--paced", "25,30,25"], "the paced rate 25 FPS is given twice"),
        (["--minutes", "2"], "minutes is for a paced camera; give its rates too, for example --paced 25,30,60"),
        (["--paced", "25", "--minutes", "0"], "minutes is 0; expected a number above 0, for example --minutes 3"),
        (["--paced", "25", "--minutes", "nan"], "minutes is nan; expected a number above 0"),
        (["--paced", "25", "--minutes", "inf"], "minutes is inf; expected a number above 0"),
        (["--paced", "25", "--minutes", "two"], "argument --minutes: invalid float value: 'two'"),
        (["--paced", "25,50", "--minutes", "0.1"], "50 frames of each paced run are too few for a 99th percentile"),
        (["--paced", "25,50", "--minutes", "0.1"], "at least 100: give --minutes 0.2 or more, or fewer rates"),
    ],
)
def test_wrong_arguments(argv: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--engine", "x.onnx", *argv])
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rates", "minutes", "frames"),
    [((5.0, 10.0), 1.0, 100), ((25.0, 30.0, 60.0), None, 333), ((25.0, 30.0, 60.0), 3.0, 1000), ((60.0,), 1.0, 1800)],
)
def test_each_paced_run_has_as_many_frames(rates: tuple[float, ...], minutes: float | None, frames: int) -> None:
    assert BenchOptions(paced=rates, minutes=minutes).paced_frames == frames


def test_importing_loads_neither_torch_nor_a_backend() -> None:
    heavy = ["torch", "onnx", "onnxruntime", "matplotlib"]
    code = f"import sys, mostnet.bench.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_checkpoint_is_exported_as_for_a_run_and_demo_is_the_clip(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[tuple[Path, BenchOptions]] = []

    def measure(engine: Path, options: BenchOptions, **_: object) -> None:
        given.append((engine, options))
        raise MostnetError("nothing is measured")

    monkeypatch.setattr(engines, "exported_file", lambda path, size_hw, say, again: Path(f"{path.stem}-{size_hw}.onnx"))
    monkeypatch.setattr(cli_module, "benchmark", measure)
    failure(capsys, "--engine", "nano", "--video", "demo", "--compare")
    failure(capsys, "--engine", "nano")
    (engine, options), (without_video, _) = given
    assert engine == without_video == Path("nano-(480, 640).onnx")
    assert (options.video, options.compare) == (demo_clip(), checkpoint_path("nano"))
