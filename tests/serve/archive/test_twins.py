"""Videos of one content share their spans; a part file is written by one task at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mostnet.serve.archive import cli
from mostnet.serve.archive.folder import ArchiveFolder
from mostnet.serve.archive.part_tasks import PartTask
from mostnet.serve.archive.performing import Answer, ArchiveTask
from mostnet.serve.archive.progress import ArchiveProgress
from mostnet.serve.archive.records import Place
from mostnet.serve.archive.tasks import VideoTask
from mostnet.serve.archive.workers import WorkerOptions

from .clips import InlineWorkers, digests, write_clips

Archive = Callable[..., int]
#: Three spans of 20 frames.
SPLIT = ("--segment", str(0.8 / 60))


class LateSpans(InlineWorkers):
    """The first span fails, and the others end some rounds later."""

    latest: LateSpans
    of_video = False

    def __init__(self, options: WorkerOptions) -> None:
        super().__init__(options)
        self.late: list[tuple[int, ArchiveTask, Place]] = []
        self.failed = False
        self.round = 0
        self.beside: list[str] = []
        self.written_late: list[bool] = []
        type(self).latest = self

    @property
    def count(self) -> int:
        return super().count + len(self.late)

    def free(self) -> Sequence[Place]:
        return self.places[self.count :]

    def begin(self, task: ArchiveTask, place: Place) -> None:
        if isinstance(task, PartTask) and self.failed and task.index and not self.written_late:
            self.late.append((self.round + 6, task, place))
        else:
            if self.late and isinstance(task, VideoTask):
                self.beside.append(task.work.video.name)
            super().begin(task, place)

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        if isinstance(task, PartTask) and not self.failed:
            self.failed = True
            return Answer(error="the span failed", is_of_video=self.of_video)
        return super().answer(task, place)

    def ended(self, timeout_s: float) -> Sequence[tuple[ArchiveTask, Answer | None]]:
        self.round += 1
        found = list(super().ended(timeout_s))
        for item in [item for item in self.late if item[0] <= self.round]:
            self.late.remove(item)
            _, task, place = item
            assert isinstance(task, PartTask)
            found.append((task, self.answer(task, place)))
            self.written_late.append(task.file.exists())
        return found


def test_a_twin_waits_for_the_spans_of_a_failed_video(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "LocalWorkers", LateSpans)
    (video,) = write_clips(tmp_path / "in", ["a.mp4"], frames=60)
    for name in ("b.mp4", "c.mp4"):
        shutil.copyfile(video, tmp_path / "in" / name)
    assert archive(tmp_path / "in", tmp_path / "out", *SPLIT, "--workers", "3") == 1
    assert LateSpans.latest.beside == [], "the twin would write the same files"
    assert LateSpans.latest.written_late == [True, True], "what a twin can use is kept"
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [video["ending"] for video in report["videos"]] == ["failed", "done", "kept"]
    assert sorted(digests(tmp_path / "out")) == ["b.mp4", "c.mp4"]


def test_a_late_span_of_a_video_that_is_done_leaves_nothing(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "LocalWorkers", LateSpans)
    monkeypatch.setattr(LateSpans, "of_video", True)
    monkeypatch.setattr(ArchiveFolder, "remove_other_parts", lambda *_: None)
    write_clips(tmp_path / "in", ["a.mp4"], frames=60)
    assert archive(tmp_path / "in", tmp_path / "out", *SPLIT, "--workers", "3") == 0
    assert LateSpans.latest.beside == ["a.mp4"], "it was made whole meanwhile"
    assert LateSpans.latest.written_late == [False, False]
    assert list(ArchiveFolder(tmp_path / "out").parts("").iterdir()) == []
    assert list(digests(tmp_path / "out")) == ["a.mp4"]


class SecondSpanFails(InlineWorkers):
    """The second span of a damaged video fails."""

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        if isinstance(task, PartTask) and task.index == 1:
            return Answer(error="the video is damaged", is_of_video=True)
        return super().answer(task, place)


def test_frames_of_spans_that_are_not_used_are_no_progress(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    monkeypatch.setattr(ArchiveProgress, "show", lambda _, running: shown.append(running))
    monkeypatch.setattr(cli, "LocalWorkers", SecondSpanFails)
    write_clips(tmp_path / "in", ["a.mp4"], frames=60)
    assert archive(tmp_path / "in", tmp_path / "out", *SPLIT) == 0
    assert shown == [0, 0, 20, 0, 0], "look, search, first span, failed span, whole run"
