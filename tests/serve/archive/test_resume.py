"""A second run goes on where the first one stopped; what is done is known by its content."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mostnet.contract import sha256
from mostnet.serve.archive import cli, part_tasks, tasks
from mostnet.serve.archive.folder import ArchiveFolder
from mostnet.serve.archive.performing import Answer, ArchiveTask
from mostnet.serve.archive.records import Place

from .clips import InlineWorkers, digests, write_clips

Archive = Callable[..., int]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The videos that went through the engine, by name."""
    found: list[str] = []
    run, run_span = tasks.run, part_tasks.run_span
    monkeypatch.setattr(tasks, "run", lambda video, *a, **k: (found.append(video.name), run(video, *a, **k))[1])
    monkeypatch.setattr(
        part_tasks, "run_span", lambda video, *a, **k: (found.append(video.name), run_span(video, *a, **k))[1]
    )
    return found


@pytest.fixture(scope="module")
def first_run(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the videos and, in ``out``, the results of a first run."""
    folder = tmp_path_factory.mktemp("first")
    write_clips(folder / "in", ["a.mp4", "b.mp4", "sub/c.mp4"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "LocalWorkers", InlineWorkers)
        assert cli.main([str(folder / "in"), "--out", str(folder / "out"), "--engine", str(toy)]) == 0
    return folder


@pytest.fixture
def source(first_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(first_run / "in", tmp_path / "in")


@pytest.fixture
def done(first_run: Path, source: Path) -> Path:
    """The results of a first run."""
    return shutil.copytree(first_run / "out", source.parent / "out")


def test_a_second_run_makes_nothing_and_reports_all(
    archive: Archive, source: Path, done: Path, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = json.loads((done / "report.json").read_text(encoding="utf-8"))
    before = digests(done)
    capsys.readouterr()
    assert archive(source, done) == 0
    assert runs == []
    assert digests(done) == before and len(before) == 3
    assert "3 videos: 3 kept; in " in capsys.readouterr().out
    second = json.loads((done / "report.json").read_text(encoding="utf-8"))
    for one, other in zip(first["videos"], second["videos"], strict=True):
        assert (one.pop("ending"), other.pop("ending")) == ("done", "kept")
        assert one == other and one["picture"]


def test_a_renamed_video_gets_its_result_without_the_engine(
    archive: Archive, source: Path, done: Path, runs: list[str]
) -> None:
    (source / "a.mp4").rename(source / "sub" / "new.mp4")
    assert archive(source, done) == 0
    assert runs == []
    assert sha256(done / "sub" / "new.mp4") == sha256(done / "a.mp4")
    (done / "a.mp4").unlink()
    assert archive(source, done) == 0
    assert runs == []


def test_without_links_a_result_is_copied(
    archive: Archive, source: Path, done: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links")

    monkeypatch.setattr(tasks.os, "link", refuse)
    (source / "a.mp4").rename(source / "new.mp4")
    assert archive(source, done) == 0
    assert runs == []
    assert sha256(done / "new.mp4") == sha256(done / "a.mp4")
    assert (done / "new.mp4").stat().st_nlink == 1


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:-1] + b"x", None])
def test_a_damaged_or_deleted_result_is_made_again(
    archive: Archive,
    source: Path,
    done: Path,
    runs: list[str],
    damage: Callable[[bytes], bytes] | None,
) -> None:
    before, path = digests(done), done / "b.mp4"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    assert archive(source, done) == 0
    assert runs == ["b.mp4"]
    assert digests(done) == before


def test_the_same_content_twice_is_made_once(
    archive: Archive, source: Path, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = source.parent / "out"
    for name in ("z.mp4", "y.mp4"):
        (source / name).write_bytes((source / "a.mp4").read_bytes())
    assert archive(source, out, "--workers", "3") == 0
    assert sorted(runs) == ["a.mp4", "b.mp4", "c.mp4"]
    found = digests(out)
    assert found["a.mp4"] == found["z.mp4"] == found["y.mp4"]
    assert "5 videos: 3 done, 2 kept" in capsys.readouterr().out


def test_other_options_need_overwrite(
    archive: Archive, source: Path, done: Path, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(done)
    capsys.readouterr()
    assert archive(source, done, "--layout", "mask") == 1
    error = (
        f"mostnet-archive: {source}/a.mp4: {done}/a.mp4: exists and was made with other options or of another video; "
    )
    assert error + "move it away, or add --overwrite to replace it\n" in capsys.readouterr().err
    assert runs == [] and digests(done) == before
    assert archive(source, done, "--layout", "mask", "--overwrite") == 0
    assert len(runs) == 3 and not set(digests(done).values()) & set(before.values())
    assert archive(source, done) == 1, "the first options do not own the results any more"


def test_a_strange_file_is_not_replaced(
    archive: Archive, source: Path, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = source.parent / "out"
    out.mkdir()
    (out / "a.mp4").write_bytes(b"mine")
    (out / "b.mp4").mkdir()
    assert archive(source, out) == 1
    printed = capsys.readouterr()
    assert f"{out}/a.mp4: exists and was not made by mostnet-archive; move it away" in printed.err
    assert f"{out}/b.mp4: is a folder, expected a file" in printed.err
    assert (out / "a.mp4").read_bytes() == b"mine"
    assert runs == ["c.mp4"]
    assert "3 videos: 1 done, 2 failed" in printed.out


def test_a_changed_video_is_another_video(archive: Archive, source: Path, done: Path, runs: list[str]) -> None:
    write_clips(source, ["x.mp4", "a.mp4"], frames=9)
    (source / "x.mp4").unlink()
    assert archive(source, done) == 1, "its earlier result is not replaced silently"
    assert archive(source, done, "--overwrite") == 0
    assert runs == ["a.mp4"]


def test_finished_spans_of_an_unfinished_video_are_kept(
    archive: Archive, tmp_path: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clips(tmp_path / "in", ["long.mp4"], frames=60)
    out, whole = tmp_path / "out", tmp_path / "whole"
    split = ("--segment", str(0.8 / 60))  # three spans of 20 frames
    assert archive(tmp_path / "in", whole, *split) == 0
    assert runs == ["long.mp4"] * 3
    runs.clear()
    run_span, calls = part_tasks.run_span, []

    def fail_at_the_third(*arguments: object, **others: object) -> object:
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError("the disk is full")
        return run_span(*arguments, **others)

    with monkeypatch.context() as patch:
        patch.setattr(part_tasks, "run_span", fail_at_the_third)
        assert archive(tmp_path / "in", out, *split) == 1
    assert digests(out / ".mostnet-archive" / "parts"), "finished spans"
    assert not (out / "long.mp4").exists()
    runs.clear()
    assert archive(tmp_path / "in", out, *split) == 0
    assert runs == ["long.mp4"], "one span was missing"
    assert digests(out) == digests(whole) and list(digests(out)) == ["long.mp4"]
    assert archive(tmp_path / "in", out, *split) == 0
    assert runs == ["long.mp4"]


class StoppedAtOnce(InlineWorkers):
    """A signal arrives with the task of the first video that makes something."""

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        if isinstance(task, tasks.VideoTask):
            signal.raise_signal(signal.SIGTERM)
            task.work.folder.stop.touch()
            return Answer(stopped=True)
        return super().answer(task, place)


def test_a_resume_that_is_stopped_reports_what_was_there(
    archive: Archive, source: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = json.loads((done / "report.json").read_text(encoding="utf-8"))["videos"]
    write_clips(source, ["x.mp4", "d.mp4"])
    (done / "sub" / "c.mp4").write_bytes(b"cut off")
    with monkeypatch.context() as patch:
        patch.setattr(cli, "LocalWorkers", StoppedAtOnce)
        assert archive(source, done) == 128 + signal.SIGTERM
    second = json.loads((done / "report.json").read_text(encoding="utf-8"))["videos"]
    found = {video["video"]: video for video in second}
    assert [found[name].pop("ending") for name in ("a.mp4", "b.mp4")] == ["stopped", "not begun"]
    for video in first[:2]:
        assert video.pop("ending") == "done" and video["picture"] and video["frames"]
        before = {**video, "elapsed_s": 0, "workers": 0}
        assert {**found[video["video"]], "elapsed_s": 0, "workers": 0} == before
        assert (done / video["picture"]["file"]).is_file()
    assert found["b.mp4"]["elapsed_s"] == first[1]["elapsed_s"]
    for name in ("d.mp4", "sub/c.mp4"):
        assert (found[name]["result"], found[name]["frames"], found[name]["picture"]) == (None, 0, None)


def test_a_damaged_record_does_not_spoil_the_report_of_a_stop(
    archive: Archive, source: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for record in ArchiveFolder(done).own.glob("*.json"):
        record.write_text("{", encoding="utf-8")
    monkeypatch.setattr(cli, "LocalWorkers", StoppedAtOnce)
    assert archive(source, done) == 128 + signal.SIGTERM
    report = json.loads((done / "report.json").read_text(encoding="utf-8"))
    assert [video["result"] for video in report["videos"]] == [None] * 3


def test_spans_that_no_video_needs_go_after_a_run_that_completed(
    archive: Archive, source: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ArchiveFolder(done).parts("0" * 64)
    old.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(cli, "LocalWorkers", StoppedAtOnce)
        assert archive(source, done) == 128 + signal.SIGTERM
    assert old.exists(), "a video that was not looked at may need them"
    (source / "bad.mp4").write_text("no video", encoding="utf-8")
    assert archive(source, done) == 1
    assert old.exists(), "so may one that cannot be read now"
    (source / "bad.mp4").unlink()
    assert archive(source, done) == 0
    assert not old.exists()


def test_a_damaged_record_is_named(
    archive: Archive, source: Path, done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = next(ArchiveFolder(done).own.glob("*.json"))
    record.write_text("{", encoding="utf-8")
    assert archive(source, done) == 1
    assert f"{record}: is damaged (" in capsys.readouterr().err
