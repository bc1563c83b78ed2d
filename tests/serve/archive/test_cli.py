"""``mostnet-archive`` from the command line."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from mostnet.contract import sha256
from mostnet.serve.archive import arguments, cli, folder, local
from mostnet.serve.archive.arguments import parse
from mostnet.serve.archive.folder import ArchiveFolder
from mostnet.serve.archive.performing import Answer, ArchiveTask
from mostnet.serve.archive.records import Place
from mostnet.serve.archive.tasks import VideoTask
from mostnet.video import cli as run_cli
from mostnet.video.steady.options import StabiliserOptions

from .clips import InlineWorkers, digests, write_clips

Archive = Callable[..., int]


def test_the_options_are_those_of_mostnet_run(tmp_path: Path) -> None:
    plain = parse(["in", "--out", str(tmp_path)])
    assert (plain.engine, plain.options.layout, plain.options.stabilise) == ("nano", "enhanced", None)
    assert (plain.workers, plain.threads, plain.gpus_per_worker, plain.segment_s, plain.ray) == (None, 1, 0, 600, None)
    given = "in --out o --engine m.onnx --layout side-by-side --frames 9 --fps 30000/1001 --steady hold --crop 0.1"
    found = parse([*given.split(), "--status", "--ray", "auto", "--workers", "0", "--gpus-per-worker", "0.25"])
    options = found.options
    assert (options.layout, options.frames, options.fps) == ("side-by-side", 9, Fraction(30000, 1001))
    assert options.stabilise == StabiliserOptions(steady="hold", crop=0.1)
    assert options.read_ahead and options.status
    assert not parse(["in", "--out", "o", "--steady", "hand", "--lookahead", "0"]).options.read_ahead
    assert (found.ray, found.workers, found.gpus_per_worker) == ("auto", 0, 0.25)
    assert found.out.is_absolute()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ([], "the following arguments are required: --out"),
        (["--out", "o", "--lookahead", "3"], "--lookahead has no effect without --steady"),
        (["--out", "o", "--status"], "--status has nothing to write on a file that is not steadied"),
        (["--out", "o", "--engine", "m.onnx", "--size", "480x640"], "--size is for --engine NAME"),
        (["--out", "o", "--gpus-per-worker", "2"], "'2' is not a share of a GPU, from 0 to 1"),
        (["--out", "o", "--segment", "-1"], "'-1' is not a number of minutes from 0"),
        (["--out", "o", "--threads", "0"], "'0' is not a whole number above 0"),
        (["--out", "o", "--view"], "unrecognized arguments: --view"),
    ],
)
def test_wrong_options_are_one_line(capsys: pytest.CaptureFixture[str], given: list[str], error: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["in", *given])
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"{arguments.NAME}: ") and error in printed and printed.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (["--engine", "m.plan"], "a .plan file runs on GPUs alone; add --gpus-per-worker F, or give the .onnx file"),
        (["--workers", "0"], "--workers 0 leaves no worker; give a number above 0, or --gpus-per-worker F"),
        (["--engine", "none.onnx"], "none.onnx: no such file"),
        (["--engine", "nanoo"], "did you mean nano?"),
    ],
)
def test_what_no_video_can_do_without_is_one_error(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], error: str
) -> None:
    write_clips(tmp_path / "in", ["a.mp4"], frames=1)
    assert archive(tmp_path / "in", tmp_path / "out", *given) == 1
    printed = capsys.readouterr()
    assert error in printed.err and printed.err.count("\n") == 1 and not printed.out


def test_gpu_workers_need_a_gpu(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "query_gpus", lambda *_: [])
    write_clips(tmp_path / "in", ["a.mp4"], frames=1)
    given = [str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--engine", str(toy), "--gpus-per-worker", "1"]
    assert cli.main(given) == 1
    assert "--gpus-per-worker needs an NVIDIA GPU, and there is none here; leave it out" in capsys.readouterr().err


def test_two_runs_into_one_folder_do_not_mix(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "in", ["a.mp4"], frames=1)
    with ArchiveFolder(tmp_path / "out").held():
        assert archive(tmp_path / "in", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert f"{tmp_path}/out: another mostnet-archive (on {platform.node()}, process {os.getpid()}, since 20" in error
    assert error.endswith(") writes here; wait for its end\n")
    assert archive(tmp_path / "in", tmp_path / "out") == 0


def test_a_folder_that_cannot_be_made_is_one_error(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "in", ["a.mp4"], frames=1)
    (tmp_path / "file").touch()
    assert archive(tmp_path / "in", tmp_path / "file" / "out") == 1
    assert "file/out: cannot be written (Not a directory); give another folder" in capsys.readouterr().err


def test_a_checkpoint_is_exported_for_the_sizes_of_the_videos(
    archive: Archive, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def export(_: Path, size_hw: tuple[int, int], **__: object) -> Path:
        sizes.append(size_hw)
        return toy

    monkeypatch.setattr("mostnet.video.command.engines.exported_file", export)
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4"])
    assert archive(tmp_path / "in", tmp_path / "out", "--engine", "nano") == 0
    assert sizes == [(64, 80)]
    assert archive(tmp_path / "in", tmp_path / "two", "--engine", "nano", "--size", "96x96") == 0
    assert sizes[1:] == [(96, 96)]
    assert [file.stem for file in (tmp_path / "out" / ".mostnet-archive" / "engines").iterdir()] == [sha256(toy)]


def test_the_report_tells_the_command_as_it_was_typed(
    archive: Archive, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "my videos", tmp_path / "out"
    write_clips(source, ["a.mp4"])
    assert archive(source, out, "--steady", "hand") == 0
    line = f"mostnet-archive '{source}' --out {out} --engine {toy} --steady hand"
    about = json.loads((out / "report.json").read_text(encoding="utf-8"))["about"]
    assert about["command"] == line and "stabilise" not in about
    monkeypatch.setattr(sys, "argv", ["x/mostnet-archive", str(source), "--out", str(out), "--engine", str(toy)])
    assert cli.main() == 1, "the result has other options"
    about = json.loads((out / "report.json").read_text(encoding="utf-8"))["about"]
    assert about["command"] == line.removesuffix(" --steady hand")


class StoppedWorkers(InlineWorkers):
    """A signal arrives while the second video is made."""

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        if isinstance(task, VideoTask) and task.work.video.name == "b.mp4":
            signal.raise_signal(signal.SIGTERM)
            task.work.folder.stop.touch()
        return super().answer(task, place)


def test_a_stopped_run_leaves_nothing_half_written_and_goes_on(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_clips(source, ["a.mp4", "b.mp4", "c.mp4", "d.mp4"])
    with monkeypatch.context() as patch:
        patch.setattr(cli, "LocalWorkers", StoppedWorkers)
        assert archive(source, out) == 128 + signal.SIGTERM
    printed = capsys.readouterr()
    assert "4 videos: 1 done, 1 stopped, 2 not begun; in " in printed.out
    assert list(digests(out)) == ["a.mp4"]
    assert not (out / ".mostnet-archive" / "staging").exists()
    assert not list(out.glob("**/.mostnet-[!a]*"))
    assert archive(source, out) == 0
    assert "4 videos: 3 done, 1 kept; in " in capsys.readouterr().out


@pytest.mark.parametrize("workers", ["1", "2"])
def test_worker_processes_write_what_mostnet_run_writes(toy: Path, tmp_path: Path, workers: str) -> None:
    names = ["a.mp4", "b.mp4", "sub/c.mp4"]
    videos = write_clips(tmp_path / "in", names, frames=12)
    out = tmp_path / "out"
    given = [str(tmp_path / "in"), "--out", str(out), "--engine", str(toy), "--workers", workers]
    assert cli.main(given) == 0
    for name, video in zip(names, videos, strict=True):
        alone = tmp_path / "alone" / f"{video.stem}.mp4"
        alone.parent.mkdir(exist_ok=True)
        assert run_cli.main([str(video), "--engine", str(toy), "-o", str(alone)]) == 0
        assert sha256(out / name) == sha256(alone)


def test_ctrl_c_ends_the_workers_in_order(toy: Path, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", ["a.mp4"], frames=900)
    write_clips(tmp_path / "in", ["b.mp4"])
    out = tmp_path / "out"
    command = [sys.executable, "-m", "mostnet.serve.archive.cli", str(tmp_path / "in"), "--out", str(out)]
    command += ["--engine", str(toy), "--workers", "1", "--steady", "hand"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as run:
        end = time.monotonic() + 60
        while not list(out.glob("**/result.part-*.mp4")):
            assert run.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        os.kill(run.pid, signal.SIGINT)
        printed, error = run.communicate(timeout=60)
    assert (run.returncode, error) == (130, "")
    assert "2 videos: 1 stopped, 1 not begun; in " in printed
    assert digests(out) == {}
    assert {path.name for path in (out / folder.OWN_FOLDER).iterdir()} == {"engines", "lock"}
    assert (out / "report.json").is_file()
