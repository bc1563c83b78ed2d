"""Workers that die: each task is tried once more, alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mostnet.serve.archive import cli
from mostnet.serve.archive.part_tasks import PartTask
from mostnet.serve.archive.performing import Answer, ArchiveTask
from mostnet.serve.archive.records import Place

from .clips import InlineWorkers, digests, write_clips

Archive = Callable[..., int]
DIED = "in/a.mp4: its worker process died twice, the second time without others beside it"


class DyingWorkers(InlineWorkers):
    """Each task in ``deaths`` kills its worker so often; notes what runs beside each."""

    deaths: dict[str, int]
    tried: list[tuple[str, int]]

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        name = type(task).__name__ + (str(task.index) if isinstance(task, PartTask) else "")
        self.tried.append((name, self.count))
        if self.deaths.get(name, 0):
            self.deaths[name] -= 1
            return None
        return super().answer(task, place)


@pytest.fixture
def run(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a video of three spans, whose tasks die so often."""
    monkeypatch.setattr(DyingWorkers, "tried", [], raising=False)
    monkeypatch.setattr(cli, "LocalWorkers", DyingWorkers)
    write_clips(tmp_path / "in", ["a.mp4"], frames=60)

    def run(segment_s: float = 0.8, **deaths: int) -> int:
        monkeypatch.setattr(DyingWorkers, "deaths", deaths, raising=False)
        return archive(tmp_path / "in", tmp_path / "out", "--segment", str(segment_s / 60), "--workers", "3")

    return run


def test_two_spans_that_die_together_are_each_tried_alone(run: Callable[..., int], tmp_path: Path) -> None:
    assert run(PartTask0=1, PartTask1=1, PartTask2=1) == 0
    assert DyingWorkers.tried[5:8] == [("PartTask0", 0), ("PartTask1", 0), ("PartTask2", 0)]
    assert list(digests(tmp_path / "out")) == ["a.mp4"]


def test_a_death_of_the_look_is_none_of_the_making(run: Callable[..., int], tmp_path: Path) -> None:
    assert run(0, LookTask=1, VideoTask=1) == 0
    assert [name for name, _ in DyingWorkers.tried] == ["LookTask"] * 2 + ["VideoTask"] * 2
    assert list(digests(tmp_path / "out")) == ["a.mp4"]


@pytest.mark.parametrize("name", ["LookTask", "VideoTask", "PartTask1"])
def test_a_task_that_dies_alone_too_fails_the_video(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(**{name: 9}) == 1
    assert DIED in capsys.readouterr().err
    assert [tried for tried, _ in DyingWorkers.tried].count(name) == 2


def test_no_span_of_a_failed_video_is_tried_again(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(PartTask0=9, PartTask1=9, PartTask2=9) == 1
    assert [name for name, _ in DyingWorkers.tried[5:]] == ["PartTask0"]
    assert capsys.readouterr().err.count(DIED) == 1
