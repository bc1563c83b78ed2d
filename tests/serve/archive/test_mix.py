"""GPU and CPU workers take from the same queue."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mostnet.contract import ArchiveError
from mostnet.serve.archive import archive as archive_module
from mostnet.serve.archive import cli, progress
from mostnet.serve.archive.archive import ArchivePlan
from mostnet.serve.archive.performing import Answer, ArchiveTask
from mostnet.serve.archive.records import Place
from mostnet.serve.archive.tasks import LookTask, VideoTask
from mostnet.serve.archive.workers import WorkerOptions

from .clips import InlineWorkers, write_clips

Archive = Callable[..., int]


class MixedWorkers(InlineWorkers):
    """One GPU worker, which runs on the CPU, and CPU workers; keeps what each ran."""

    latest: MixedWorkers

    def __init__(self, options: WorkerOptions) -> None:
        super().__init__(options)
        self.cpu = options.cpu
        self.places = [options.gpu] + [options.cpu] * (0 if options.cpu_workers is None else options.cpu_workers)
        type(self).latest = self

    def free(self) -> Sequence[Place]:
        busy = [place for _, place in self.tasks[len(self.tasks) - self.count :]]
        left = list(self.places)
        for place in busy:
            left.remove(place)
        return left

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        return super().answer(task, self.cpu)


@pytest.fixture
def mixed(monkeypatch: pytest.MonkeyPatch, archive: Archive) -> Archive:
    monkeypatch.setattr(cli, "LocalWorkers", MixedWorkers)
    return archive


def providers(kind: type) -> list[str]:
    return [place.provider for task, place in MixedWorkers.latest.tasks if isinstance(task, kind)]


def test_both_kinds_make_videos(mixed: Archive, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4", "c.mp4", "d.mp4"])
    assert mixed(tmp_path / "in", tmp_path / "out", "--workers", "1", "--gpus-per-worker", "0.5") == 0
    assert sorted(providers(VideoTask)) == ["cpu", "cpu", "cuda", "cuda"]
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [video["ending"] for video in report["videos"]] == ["done"] * 4


def test_no_cpu_worker_is_left_without_them(mixed: Archive, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4"])
    assert mixed(tmp_path / "in", tmp_path / "out", "--workers", "0", "--gpus-per-worker", "1") == 0
    assert providers(object) == ["cuda"] * 4


def test_only_gpu_workers_run_a_plan(mixed: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gpu_only(**values: object) -> ArchivePlan:
        return ArchivePlan(**{**values, "gpu_only": True})

    monkeypatch.setattr(cli, "ArchivePlan", gpu_only)
    write_clips(tmp_path / "in", ["a.mp4", "b.mp4", "c.mp4"])
    assert mixed(tmp_path / "in", tmp_path / "out", "--workers", "2", "--gpus-per-worker", "1") == 0
    assert providers(VideoTask) == ["cuda"] * 3
    assert "cpu" in providers(LookTask)


@pytest.mark.parametrize(
    ("options", "cores", "gpus", "expected"),
    [
        (WorkerOptions(), 8, 0, (8, 0)),
        (WorkerOptions(threads=3), 8, 0, (2, 0)),
        (WorkerOptions(threads=4), 2, 0, (1, 0)),
        (WorkerOptions(gpus_per_worker=0.25), 8, 1, (4, 4)),
        (WorkerOptions(gpus_per_worker=0.1), 8, 2, (0, 20)),
        (WorkerOptions(gpus_per_worker=0.75), 8, 2, (6, 2)),
        (WorkerOptions(gpus_per_worker=0.4), 8, 2, (4, 4)),
        (WorkerOptions(cpu_workers=3, gpus_per_worker=1), 8, 2, (3, 2)),
        (WorkerOptions(gpus_per_worker=1, gpu_only=True), 8, 2, (0, 2)),
    ],
)
def test_the_kinds_share_the_cores(options: WorkerOptions, cores: int, gpus: int, expected: tuple[int, int]) -> None:
    gpu_workers = options.gpu_places(gpus)
    assert (options.cpu_places(cores, gpu_workers), gpu_workers) == expected


@pytest.mark.parametrize("share", [1.5, -0.25, float("nan")])
def test_a_worker_takes_at_most_one_gpu(share: float) -> None:
    with pytest.raises(ArchiveError, match="GPUs per worker is no share of a GPU; give a share from 0 to 1"):
        WorkerOptions(gpus_per_worker=share)


class DyingGpuWorkers(MixedWorkers):
    """The first GPU worker dies, and then a CPU worker is free first."""

    deaths = 0

    def free(self) -> Sequence[Place]:
        return super().free()[::-1] if self.deaths else super().free()

    def answer(self, task: ArchiveTask, place: Place) -> Answer | None:
        if isinstance(task, VideoTask) and not self.deaths:
            self.deaths += 1
            return None
        return super().answer(task, place)


def test_a_plan_is_tried_again_on_a_gpu_worker(mixed: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gpu_only(**values: object) -> ArchivePlan:
        return ArchivePlan(**{**values, "gpu_only": True})

    monkeypatch.setattr(cli, "ArchivePlan", gpu_only)
    monkeypatch.setattr(cli, "LocalWorkers", DyingGpuWorkers)
    write_clips(tmp_path / "in", ["a.mp4"])
    assert mixed(tmp_path / "in", tmp_path / "out", "--workers", "1", "--gpus-per-worker", "1") == 0
    assert [place.provider for task, place in DyingGpuWorkers.latest.tasks if isinstance(task, VideoTask)] == [
        "cuda",
        "cuda",
    ]


def test_a_cluster_without_a_place_is_waited_for(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []

    class LateWorkers(InlineWorkers):
        def free(self) -> Sequence[Place]:
            return super().free() if len(waits) > 1 else []

        @property
        def room(self) -> int:
            return len(self.free())

    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(archive_module.time, "sleep", waits.append)
    monkeypatch.setattr(cli, "LocalWorkers", LateWorkers)
    write_clips(tmp_path / "in", ["a.mp4"])
    assert archive(tmp_path / "in", tmp_path / "out") == 0
    assert len(waits) == 2
    assert "no machine of the cluster can hold a task now; waiting" in capsys.readouterr().err
