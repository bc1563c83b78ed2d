"""A video that fails is named and stops no other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mostnet.contract import VideoError
from mostnet.serve.archive import cli, tasks
from mostnet.serve.archive.performing import Answer, ArchiveTask
from mostnet.serve.archive.records import Place
from mostnet.serve.archive.tasks import VideoTask
from mostnet.video import VideoReader

from ...video.samples import damage_packet, moving_frames, write_with_av
from .clips import SIZE_HW, InlineWorkers, digests, write_clips

Archive = Callable[..., int]


def entries(out: Path) -> dict[str, dict[str, object]]:
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return {video["video"]: video for video in report["videos"]}


def test_each_kind_of_bad_file_is_named(archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    write_clips(tmp_path, ["good.mp4"])
    (tmp_path / "text.mp4").write_text("no video", encoding="utf-8")
    (tmp_path / "pic.png").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    names = ["missing.mp4", "text.mp4", "pic.png", "folder", "zero.mp4", "good.mp4"]
    (tmp_path / "l.txt").write_text("\n".join(names), encoding="utf-8")
    assert archive(tmp_path / "l.txt", out) == 1
    printed = capsys.readouterr()
    found = entries(out)
    assert {name: found[name]["ending"] for name in names} == dict.fromkeys(names, "failed") | {"good.mp4": "done"}
    for name, error in [
        ("missing.mp4", "No such file"),
        ("text.mp4", "not a video"),
        ("pic.png", "expected a video file, found a picture"),
        ("folder", "expected a video file, found a folder"),
        ("zero.mp4", "expected a video file, found a pipe or device"),
    ]:
        assert error in str(found[name]["error"])
        lines = [line for line in printed.err.splitlines() if f"{tmp_path}/{name}" in line]
        assert len(lines) == 1 and error in lines[0]
    assert "6 videos: 1 done, 5 failed; in " in printed.out
    assert printed.out.splitlines()[-1] == f"report: {out}/report.html, {out}/report.json"


@pytest.mark.parametrize("segment_min", ["0", "0.01"])
def test_the_frames_of_a_damaged_video_are_kept_aside(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str], segment_min: str
) -> None:
    (tmp_path / "in").mkdir()
    video = write_with_av(tmp_path / "in" / "v.mp4", moving_frames(60, SIZE_HW))
    damage_packet(video, 50)
    out = tmp_path / "out"
    assert archive(tmp_path / "in", out, "--segment", segment_min) == 1
    aside = ".mostnet-archive/damaged/v.mp4"
    assert not list(out.glob("*.mp4"))
    with VideoReader(out / aside) as reader:
        count = len(list(reader))
    assert count > 40
    error = capsys.readouterr().err
    assert "v.mp4: damaged at frame" in error and f"; {count} frames are in {out}/{aside}\n" in error
    assert entries(out)["v.mp4"]["ending"] == "failed"
    write_with_av(video, moving_frames(60, SIZE_HW))
    assert archive(tmp_path / "in", out, "--segment", segment_min) == 0
    assert (out / "v.mp4").is_file()
    assert not (out / aside).exists(), "no frames are kept of a video that is whole again"


def test_frames_aside_replace_no_result(archive: Archive, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_clips(source, ["a.damaged.mp4"])
    assert archive(source, out) == 0
    before = digests(out)
    damage_packet(write_with_av(source / "a.mp4", moving_frames(60, SIZE_HW)), 50)
    assert archive(source, out) == 1
    after = digests(out)
    assert after.pop(".mostnet-archive/damaged/a.mp4") and after == before


def test_frames_aside_do_not_harm_a_video_in_a_folder_of_their_name(archive: Archive, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    damage_packet(write_with_av(source / "a.mp4", moving_frames(60, SIZE_HW)), 50)
    assert archive(source, out) == 1
    (source / "a.mp4").unlink()
    write_clips(source, ["a.mp4/b.mp4"])
    assert archive(source, out) == 0


def test_frames_aside_go_when_the_earlier_result_holds_again(archive: Archive, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    video = write_with_av(source / "a.mp4", moving_frames(60, SIZE_HW))
    whole = video.read_bytes()
    assert archive(source, out) == 0
    damage_packet(video, 50)
    assert archive(source, out, "--overwrite") == 1
    assert list(digests(out)) == [".mostnet-archive/damaged/a.mp4", "a.mp4"]
    video.write_bytes(whole)
    assert archive(source, out) == 0
    assert list(digests(out)) == ["a.mp4"]


def test_a_named_pipe_is_not_opened(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its opening would wait for ever."""
    write_clips(tmp_path / "in", ["a.mp4"])
    os.mkfifo(tmp_path / "in" / "p.mp4")
    reader = tasks.VideoReader

    def open_file(path: Path, **others: object) -> VideoReader:
        assert path.is_file(), "would wait"
        return reader(path, **others)

    monkeypatch.setattr(tasks, "VideoReader", open_file)
    assert archive(tmp_path / "in", tmp_path / "out") == 1
    found = entries(tmp_path / "out")
    assert found["a.mp4"]["ending"] == "done"
    assert found["p.mp4"]["error"] == f"{tmp_path}/in/p.mp4: expected a video file, found a pipe or device"


@pytest.mark.parametrize("when", ["usual_size", "survey"])
def test_a_link_that_comes_later_does_not_lead_to_the_video(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_clips(source, ["sub/a.mp4"])
    before, work, run, runs = digests(source), getattr(tasks, when), tasks.run, []

    def link(*arguments: object, **others: object) -> object:
        (out / "sub").symlink_to(source / "sub")
        return work(*arguments, **others)

    monkeypatch.setattr(tasks, when, link)
    monkeypatch.setattr(tasks, "run", lambda *these, **others: runs.append(these) or run(*these, **others))
    assert archive(source, out, "--overwrite") == 1
    assert f"{out}/sub/a.mp4: is the video itself; give another folder" in capsys.readouterr().err
    assert digests(source) == before
    assert len(runs) == (when == "survey"), "no work is done for nothing"


def test_an_unexpected_failure_and_lack_of_memory_are_of_one_video(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4", "c.mp4"])
    run, raised = tasks.run, {"a.mp4": MemoryError(), "b.mp4": KeyError("x")}

    def fail(video: Path, *arguments: object, **others: object) -> object:
        if video.name in raised:
            raise raised[video.name]
        return run(video, *arguments, **others)

    monkeypatch.setattr(tasks, "run", fail)
    assert archive(tmp_path / "in", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert f"{tmp_path}/in/a.mp4: " in error and "out of memory; run fewer workers" in error
    assert f"{tmp_path}/in/b.mp4: KeyError: 'x'" in error
    assert list(digests(tmp_path / "out")) == ["c.mp4"]


def test_a_video_that_changes_meanwhile_fails(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (video,) = write_clips(tmp_path / "in", ["a.mp4"])
    survey = tasks.survey

    def change(*arguments: object) -> object:
        video.write_bytes(video.read_bytes() + b"more")
        return survey(*arguments)

    monkeypatch.setattr(tasks, "survey", change)
    assert archive(tmp_path / "in", tmp_path / "out") == 1
    assert "a.mp4: changed while it was processed" in capsys.readouterr().err
    assert digests(tmp_path / "out") == {}


class DyingWorkers(InlineWorkers):
    """The worker that makes b.mp4 dies, ``deaths`` times; notes what runs beside each retry."""

    deaths = 1
    died: list[int]

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        if isinstance(task, VideoTask) and task.work.video.name == "b.mp4":
            self.died.append(self.count)
            if len(self.died) <= self.deaths:
                return None
        return super().answer(task, place)


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_video_whose_worker_dies_is_tried_once_more_alone(
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    deaths: int,
) -> None:
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4", "c.mp4", "d.mp4"])
    monkeypatch.setattr(DyingWorkers, "died", [], raising=False)
    monkeypatch.setattr(DyingWorkers, "deaths", deaths)
    monkeypatch.setattr(cli, "LocalWorkers", DyingWorkers)
    assert archive(tmp_path / "in", tmp_path / "out", "--workers", "3") == deaths - 1
    assert len(DyingWorkers.died) == 2, "not a third time"
    printed = capsys.readouterr()
    assert DyingWorkers.died[1] == 0, "nothing beside it"
    if deaths == 1:
        assert printed.out.splitlines()[-3].startswith(f"{tmp_path}/out/b.mp4: "), "after all others"
    assert ("in/b.mp4: its worker process died twice" in printed.err) == (deaths == 2)
    assert len(digests(tmp_path / "out")) == 5 - deaths


def test_a_report_that_fails_too_does_not_hide_why_the_run_ended(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "in", ["a.mp4"])

    def fail(error: Exception) -> None:
        raise error

    monkeypatch.setattr(cli.ArchiveRun, "run", lambda *_: fail(VideoError("the first error")))
    monkeypatch.setattr(cli, "write_report", lambda *_: fail(OSError("no report")))
    assert archive(tmp_path / "in", tmp_path / "out") == 1
    assert capsys.readouterr().err == "mostnet-archive: the first error\n"


def test_a_failed_export_ends_the_run(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4"])

    def fail(*_: object) -> None:
        raise VideoError("no engine")

    monkeypatch.setattr(cli.EngineFiles, "file_for", fail)
    assert archive(tmp_path / "in", tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert printed.err == "mostnet-archive: no engine\n"
    assert entries(tmp_path / "out")["b.mp4"]["ending"] == "not begun"
