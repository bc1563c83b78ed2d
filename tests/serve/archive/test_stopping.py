"""A run that is to stop ends, also if its tasks do not."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mostnet.serve.archive import archive as archive_module
from mostnet.serve.archive import cli
from mostnet.serve.archive.folder import ArchiveFolder
from mostnet.serve.archive.performing import Answer, ArchiveTask
from mostnet.serve.archive.records import Place
from mostnet.serve.archive.tasks import VideoTask

from .clips import InlineWorkers, digests, write_clips

Archive = Callable[..., int]


class StuckWorkers(InlineWorkers):
    """The making of b.mp4 never ends; signals arrive meanwhile."""

    signals: list[signal.Signals]
    killed: list[str]

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.stuck: VideoTask | None = None

    @property
    def count(self) -> int:
        return super().count + (self.stuck is not None)

    def free(self) -> Sequence[Place]:
        return [] if self.stuck else super().free()

    def begin(self, task: ArchiveTask, place: Place) -> None:
        if isinstance(task, VideoTask) and task.work.video.name == "b.mp4":
            self.stuck = task
            (task.work.folder.staging / "half").mkdir()
        else:
            super().begin(task, place)

    def ended(self, timeout_s: float) -> Sequence[tuple[ArchiveTask, Answer | None]]:
        if self.stuck and self.signals:
            signal.raise_signal(self.signals.pop(0))
        return super().ended(timeout_s)

    def kill(self) -> None:
        if self.stuck:
            self.killed.append(self.stuck.work.video.name)
        self.stuck = None


@pytest.fixture
def stuck(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.setattr(StuckWorkers, "killed", [], raising=False)
    monkeypatch.setattr(cli, "LocalWorkers", StuckWorkers)
    return archive


def endings(out: Path) -> list[str]:
    return [video["ending"] for video in json.loads((out / "report.json").read_text(encoding="utf-8"))["videos"]]


def check_that_nothing_is_half_written(out: Path) -> None:
    assert StuckWorkers.killed == ["b.mp4"]
    assert not ArchiveFolder(out).staging.exists() and not ArchiveFolder(out).stop.exists()
    assert list(digests(out)) == ["a.mp4"]
    assert endings(out) == ["done", "stopped", "not begun"]


@pytest.mark.timeout(60)
def test_a_task_that_does_not_end_after_a_signal_is_killed(
    stuck: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(archive_module, "_GRACE_S", 0.0)
    monkeypatch.setattr(StuckWorkers, "signals", [signal.SIGTERM], raising=False)
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4", "c.mp4"])
    assert stuck(tmp_path / "in", tmp_path / "out") == 128 + signal.SIGTERM
    assert "3 videos: 1 done, 1 stopped, 1 not begun; in " in capsys.readouterr().out
    check_that_nothing_is_half_written(tmp_path / "out")


@pytest.mark.timeout(60)
def test_a_second_signal_kills_at_once(stuck: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "_GRACE_S", 1e9)
    monkeypatch.setattr(StuckWorkers, "signals", [signal.SIGINT, signal.SIGINT], raising=False)
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4", "c.mp4"])
    assert stuck(tmp_path / "in", tmp_path / "out") == 128 + signal.SIGINT
    check_that_nothing_is_half_written(tmp_path / "out")


class FullWorkers(InlineWorkers):
    """The folder of results is full when b.mp4 is made."""

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        if isinstance(task, VideoTask) and task.work.video.name == "b.mp4":
            return Answer(error="DEST: is full", is_of_dest=True)
        return super().answer(task, place)


def test_a_folder_of_results_that_is_full_ends_the_run(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "LocalWorkers", FullWorkers)
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4", "c.mp4"])
    assert archive(tmp_path / "in", tmp_path / "out") == 1
    assert capsys.readouterr().err == "mostnet-archive: DEST: is full\n"
    assert endings(tmp_path / "out") == ["done", "stopped", "not begun"]


def test_a_stop_that_cannot_be_told_hides_no_error(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    touch = Path.touch

    def fail(path: Path, *arguments: object, **others: object) -> None:
        if path.name == "stop":
            raise OSError("no space for the stop")
        touch(path, *arguments, **others)

    monkeypatch.setattr(Path, "touch", fail)
    monkeypatch.setattr(cli, "LocalWorkers", FullWorkers)
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4", "c.mp4"])
    assert archive(tmp_path / "in", tmp_path / "out") == 1
    assert capsys.readouterr().err == "mostnet-archive: DEST: is full\n"
    assert endings(tmp_path / "out") == ["done", "stopped", "not begun"]


class StoppedLooks(InlineWorkers):
    """A signal arrives while a.mp4 is looked at; the look may end all the same."""

    ends: bool

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        signal.raise_signal(signal.SIGTERM)
        return super().answer(task, place) if self.ends else Answer(stopped=True)


@pytest.mark.parametrize("ends", [True, False])
def test_a_video_that_was_only_looked_at_is_not_begun(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    def export(*_: object) -> None:
        raise AssertionError("an export takes long")

    monkeypatch.setattr(StoppedLooks, "ends", ends, raising=False)
    monkeypatch.setattr(cli, "LocalWorkers", StoppedLooks)
    monkeypatch.setattr(cli.EngineFiles, "file_for", export)
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4"])
    assert archive(tmp_path / "in", tmp_path / "out") == 128 + signal.SIGTERM
    assert endings(tmp_path / "out") == ["not begun", "not begun"]
