"""The commands of bench/scale, from a toy engine to tables, JSON and picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mostnet.bench.scale import cameras, capacity, draw, plan, service, stages
from mostnet.bench.scale.compare import ServerTrial
from mostnet.bench.scale.figures import CameraFigures, ServerFigures, difference, phases_ms
from mostnet.bench.scale.reports import server_of

from ...toy_graph import save_toy


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSON of the command on a toy engine, with a server that takes two cameras."""
    folder = tmp_path_factory.mktemp("report")
    engine = save_toy(folder / "toy.onnx")
    sizes = ["--cameras", "1,3", "--places", "2", "--most", "2"]
    lengths = ["--fps", "200", "--seconds", "0.05", "--samples", "3"]
    assert cameras.main(["--engine", str(engine), *sizes, *lengths, "--json", str(folder / "report.json")]) == 0
    return folder / "report.json"


def test_the_json_says_what_was_measured_and_simulated_where(report: Path) -> None:
    found = json.loads(report.read_text(encoding="utf-8"))

    assert found["command"].startswith("python -m mostnet.bench.scale.cameras --engine ")
    assert found["settings"]["size"] == "64x80" and found["settings"]["places"] == 2
    assert found["machine"]["cpu"] and {"python", "mostnet", "onnxruntime", "simpy"} <= found["versions"].keys()
    assert [len(samples) >= 3 for samples in found["service"]["samples_ms"]] == [True, True]
    assert found["service"]["other_cores"] is None or found["service"]["other_cores"] >= 0
    assert found["memory"]["state_bytes"] == 24 * 2 + 3 + 4 + 64 * 80 * 2
    assert [trial["cameras"] for trial in found["trials"]] == [1, 3]
    for trial in found["trials"]:
        for kind in ("measured", "simulated"):
            figures = trial[kind]
            assert len(figures["cameras"]) == trial["cameras"]
            assert figures["refused"] == max(0, trial["cameras"] - 2)
            for camera in figures["cameras"]:
                assert camera["served"] + camera["dropped"] == camera["captured"] <= 10
        assert trial["differences"].keys() == {"served_fps", "p50_ms", "p95_ms", "dropped_share"}


def test_the_table_shows_both_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = save_toy(tmp_path / "toy.onnx")

    assert (
        cameras.main(["--engine", str(engine), "--cameras", "1", "--seconds", "0.1", "--samples", "2", "--places", "1"])
        == 0
    )

    printed = capsys.readouterr().out
    assert "64x80 at 25 FPS, 1 place of 1 thread: service " in printed and "measured | simulated" in printed


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        (["--cameras", "1,x"], "'1,x' is no list of numbers above 0"),
        (["--cameras", "0"], "'0' is no list of numbers above 0"),
        (["--outputs", "enhanced,depth"], "'enhanced,depth' is no list of outputs"),
    ],
)
def test_wrong_arguments_are_said_in_one_line(
    argument: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cameras.main(["--engine", "x.onnx", *argument])

    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_missing_engine_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cameras.main(["--engine", str(tmp_path / "none.onnx")]) == 1

    assert "none.onnx" in capsys.readouterr().err


def test_the_plan_reads_the_reports(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "FRAMES", 200)
    found = json.loads(report.read_text(encoding="utf-8"))
    found["service"] = {"samples_ms": [[7.0], [8.0]], "transfer_ms": 1.0}
    (tmp_path / "report.json").write_text(json.dumps(found), encoding="utf-8")
    times = {"format_version": 1, "whole_ms": 72.0, "stages_ms": {}, "bytes_in": 4000, "bytes_out": 6000}
    (tmp_path / "stages.json").write_text(json.dumps(times), encoding="utf-8")

    files = [str(tmp_path / "report.json"), "--stages", str(tmp_path / "stages.json")]
    assert plan.main([*files, "--fps", "25", "--factor", "2"]) == 0

    printed = capsys.readouterr().out
    assert "engine, 64x80, 2 x 1 thread" in printed and "10 (10)" in printed
    assert "3000 core-hours, 1500 GB read and written" in " ".join(printed.split())
    assert "13 (13)" in printed  # 341 frames per second hold 13 cameras at 25
    assert "100 cameras on servers like the one here" in printed


def test_a_file_of_another_command_is_refused(report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.json").write_text("[", encoding="utf-8")

    old = json.loads(report.read_text(encoding="utf-8")) | {"format_version": 0}
    (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")

    for arguments in ([str(tmp_path / "text.json")], [str(tmp_path / "old.json")], ["--stages", str(report)]):
        assert plan.main(arguments) == 1
        assert "measure again with --json" in capsys.readouterr().err


def test_a_report_gives_back_the_server(report: Path) -> None:
    server = server_of(json.loads(report.read_text(encoding="utf-8")))

    assert server.places == 2 and len(server.service_ms) == 2


def test_the_picture_is_a_png(report: Path, tmp_path: Path) -> None:
    assert draw.main([str(report), "-o", str(tmp_path / "plot.png")]) == 0

    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_stages_add_up_to_the_whole(small_engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "stages.json"

    assert (
        stages.main(["--engine", str(small_engine), "--video", str(tmp_path / "clip.mp4"), "--json", str(target)]) == 0
    )

    found = json.loads(target.read_text(encoding="utf-8"))
    assert found["frames"] == 6 and found["stages_ms"].keys() == set(stages.STAGES)
    assert min(found["stages_ms"].values()) > 0
    assert sum(found["stages_ms"].values()) + found["rest_ms"] == pytest.approx(found["whole_ms"])
    assert found["bytes_in"] == pytest.approx((tmp_path / "clip.mp4").stat().st_size / 6)
    assert "network" in capsys.readouterr().out


@pytest.fixture
def small_engine(tmp_path: Path) -> Path:
    """A toy engine, and a clip of six frames beside it."""
    import numpy as np

    from mostnet.video import VideoWriter

    with VideoWriter(tmp_path / "clip.mp4", 25, (64, 80)) as writer:
        for value in range(6):
            writer.write(np.full((64, 80, 3), 40 * value, np.uint8))
    return save_toy(tmp_path / "toy.onnx")


def test_the_middle_round_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rounds = iter([[5.0, 5.0], [1.0, 1.0], [3.0, 3.0]])
    monkeypatch.setattr(service, "paced_ms", lambda *_, **__: next(rounds))
    engine = save_toy(tmp_path / "toy.onnx")
    from mostnet.bench.frames import synthetic_frames

    frames = synthetic_frames((64, 80), 1, seed=0)
    found = service.service_samples_ms(engine, frames, places=1, threads=1, count=2, fps=25, outputs=("enhanced",))

    assert found == ((3.0, 3.0),)


def test_figures_of_no_frame_are_none() -> None:
    nothing = ServerFigures(cameras=(CameraFigures(refused=True),), seconds=1)

    assert nothing.percentile_ms(95) is None and nothing.served_fps == 0 and nothing.dropped_share == 0
    assert difference(None, 1.0) is None and difference(1.0, 0.0) is None
    assert difference(3.0, 2.0) == 0.5


def test_differences_are_those_of_the_simulation_from_the_measurement() -> None:
    def figures(served: int, latency_ms: float) -> ServerFigures:
        latencies = (latency_ms,) * served
        camera = CameraFigures(captured=10, served=served, dropped=10 - served, latencies_ms=latencies)
        return ServerFigures(cameras=(camera,), seconds=1)

    trial = ServerTrial(cameras=1, measured=figures(8, 20.0), simulated=figures(10, 15.0), other_cores=None)

    assert trial.differences == pytest.approx(
        {"served_fps": 0.25, "p50_ms": -0.25, "p95_ms": -0.25, "dropped_share": -0.2}
    )


def test_phases_are_spread_over_a_period_and_repeat() -> None:
    phases = phases_ms(1000, fps=25, seed=1)

    assert 0 <= min(phases) < 1 and 39 < max(phases) <= 40
    assert phases == phases_ms(1000, fps=25, seed=1) != phases_ms(1000, fps=25, seed=2)
