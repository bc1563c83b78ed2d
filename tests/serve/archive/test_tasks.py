"""How a task ends early, and what it tells of a folder of results that is full."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mostnet.contract import VideoError, sha256
from mostnet.contract.versions import mostnet_version
from mostnet.serve.archive import tasks
from mostnet.serve.archive.folder import ArchiveFolder, ResultRecord
from mostnet.serve.archive.performing import Answer, perform
from mostnet.serve.archive.records import Findings, Place, RunOptions
from mostnet.serve.archive.tasks import LookTask, TaskStoppedError, stop_check

from .clips import write_clips


def stopping(out: Path) -> ArchiveFolder:
    """The folder of a run that is to stop."""
    folder = ArchiveFolder(out)
    folder.own.mkdir(parents=True)
    folder.stop.touch()
    return folder


def test_a_check_ends_a_task_only_when_the_run_stops(tmp_path: Path) -> None:
    stop_check(ArchiveFolder(tmp_path))()
    with pytest.raises(TaskStoppedError):
        stop_check(stopping(tmp_path))()


@pytest.mark.parametrize("what", ["digest", "times"])
def test_the_look_at_a_large_video_ends_when_the_run_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (video,) = write_clips(tmp_path, ["a.mp4"])
    task = LookTask(video=video, options=RunOptions(), segment_s=what == "times", folder=stopping(tmp_path / "out"))
    if what == "times":
        monkeypatch.setattr(tasks, "sha256", lambda *_, **__: "")
    answer = perform(task, Place(), mostnet_version())
    assert answer.stopped and answer.error is None


def test_the_look_at_a_large_result_ends_when_the_run_stops(tmp_path: Path) -> None:
    result = tmp_path / "a.mp4"
    result.write_bytes(b"whole")
    record = ResultRecord(
        results=("a.mp4",),
        size=5,
        sha256=sha256(result),
        video_sha256="",
        frames=1,
        duration_s=1.0,
        elapsed_s=1.0,
        workers=(),
        findings=Findings(),
    )
    assert record.is_whole(result, between=stop_check(ArchiveFolder(tmp_path / "runs")))
    with pytest.raises(TaskStoppedError):
        record.is_whole(result, between=stop_check(stopping(tmp_path / "stops")))


@dataclass
class Failing:
    """A task that fails."""

    error: BaseException
    work: Any = None

    def run(self, place: Place, worker: str) -> None:
        raise self.error


def failed(error: OSError, out: Path, *, inside: bool = False) -> Answer:
    """The answer of a task that writes into ``out``; perhaps the error has become that of a writer."""
    raised: Exception = error
    if inside:
        raised = VideoError("cannot write frame 3")
        raised.__cause__ = error
    return perform(Failing(raised, SimpleNamespace(folder=ArchiveFolder(out))), Place(), mostnet_version())


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_or_read_only_folder_of_results_is_told(tmp_path: Path, number: int, inside: bool) -> None:
    for place in ((), (str(tmp_path / "out" / "x.mp4"),)):
        answer = failed(OSError(number, os.strerror(number), *place), tmp_path / "out", inside=inside)
        assert answer.is_of_dest and not answer.is_of_video
        assert answer.error == (
            f"{tmp_path}/out: cannot be written ({os.strerror(number)}); free some space, or make it writable, and run "
            "the same command again"
        )


@pytest.mark.parametrize(
    ("number", "name"), [(errno.ENOSPC, "elsewhere/x.mp4"), (errno.EACCES, "out/x.mp4"), (errno.ENOENT, "out/x.mp4")]
)
def test_other_failures_are_of_one_video(tmp_path: Path, number: int, name: str) -> None:
    answer = failed(OSError(number, "why", str(tmp_path / name)), tmp_path / "out")
    assert not answer.is_of_dest
    assert answer.error == f"[Errno {number}] why: '{tmp_path / name}'"


def test_a_task_that_writes_nothing_tells_nothing_of_the_folder() -> None:
    assert not perform(Failing(OSError(errno.ENOSPC, "why")), Place(), mostnet_version()).is_of_dest
