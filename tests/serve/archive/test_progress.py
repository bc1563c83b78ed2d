"""Progress of an archive: videos, frames and the time left."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from mostnet.serve.archive.folder import ArchiveFolder
from mostnet.serve.archive.progress import ArchiveProgress
from mostnet.serve.archive.pulse import Pulse, frames_running


def test_frames_of_unknown_videos_are_estimated_by_their_sizes() -> None:
    progress = ArchiveProgress(Console(file=io.StringIO()), {0: 100, 1: 300, 2: 100, 3: 50})
    assert progress.expected is None
    progress.looked(0, 10)
    assert progress.expected == 10 + round(10 / 100 * 450)
    progress.looked(1, 50)
    assert progress.expected == 60 + round(60 / 400 * 150)
    progress.ended(2, frames=0, failed=True)
    assert progress.expected == 60 + round(60 / 400 * 50), "a failed video has no frames to come"
    progress.ended(0, frames=0, failed=False)
    assert progress.expected == 50 + round(50 / 300 * 50), "nor has one that was kept"


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, text = [0.0], io.StringIO()
    monkeypatch.setattr("mostnet.video.progress.perf_counter", lambda: now_s[0])
    with ArchiveProgress(Console(file=text, width=200), {0: 100, 1: 100, 2: 100}) as progress:
        progress.looked(0, 100)
        now_s[0] = 10.0
        progress.show(20)
        progress.ended(0, frames=100, failed=False)
        progress.ended(1, frames=0, failed=True)
        now_s[0] = 25.0
        progress.show(0)
    assert text.getvalue().splitlines() == [
        "0 of 3 videos: 20 of 300 frames, 2.0 FPS, about 0:02:20 left",
        "2 of 3 videos, 1 failed: 100 of 200 frames, 4.0 FPS, about 0:00:25 left",
    ]


def test_lines_are_not_drawn_over_by_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    text = io.StringIO()
    with ArchiveProgress(Console(file=text, force_terminal=True, width=100), {0: 1}) as progress:
        progress.looked(0, 9)
        progress.show(3)
        progress.print("a line")
        progress.complain("a problem")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("a line\n", "mostnet-archive: a problem\n")
    assert "0 of 1 video" in text.getvalue() and "a line" not in text.getvalue()


def test_a_name_with_a_line_break_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with ArchiveProgress(Console(file=io.StringIO()), {0: 1}) as progress:
        progress.print("a\nb.mp4: kept")
    assert capsys.readouterr().out == "a b.mp4: kept\n"


def test_a_cluster_without_room_is_told_once_each_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = [0.0]
    monkeypatch.setattr("mostnet.serve.archive.progress.monotonic", lambda: now_s[0])
    told = "mostnet-archive: no machine of the cluster can hold a task now; waiting for one that can\n"
    with ArchiveProgress(Console(file=io.StringIO()), {0: 1}) as progress:
        for time_s, room, expected in [
            (20.0, 1, ""),
            (49.0, 0, ""),
            (50.0, 0, told),
            (99.0, 0, ""),
            (100.0, 2, ""),
            (129.0, 0, ""),
            (130.0, 0, told),
        ]:
            now_s[0] = time_s
            progress.note_room(room)
            assert capsys.readouterr().err == expected, time_s


def test_a_task_tells_its_frames_and_hears_the_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr("mostnet.serve.archive.pulse.monotonic", lambda: now_s[0])
    folder = ArchiveFolder(tmp_path)
    with folder.held():
        one, other = Pulse(folder, "1-video"), Pulse(folder, "2-0")
        now_s[0] = 2.0
        one.progress(5, None)
        other.progress(7, 9)
        (folder.running / ".nfs0001").write_text("9", encoding="ascii")  # a removed count that a process has open
        assert frames_running(folder) == 12
        assert not one.stop()
        folder.stop.touch()
        assert not one.stop(), "it asks once a second"
        now_s[0] = 4.0
        assert one.stop()
        one.end()
        one.end()
        assert frames_running(folder) == 7
