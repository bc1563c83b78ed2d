"""Worker processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest

from mostnet.contract.cores import default_threads
from mostnet.serve.archive import local
from mostnet.serve.archive.local import LocalWorkers
from mostnet.serve.archive.performing import Answer, perform
from mostnet.serve.archive.records import Place
from mostnet.serve.archive.workers import WorkerOptions


@dataclass(frozen=True)
class Asked:
    """Tells what a worker process is like."""

    def run(self, place: Place, worker: str) -> Any:
        return os.getpid(), cv2.getNumThreads(), default_threads(), os.environ.get("CUDA_VISIBLE_DEVICES"), worker


@dataclass(frozen=True)
class Blocked:
    """Waits as long as on a mount that is stalled, if nobody kills it."""

    begun: Path
    ended: Path

    def run(self, place: Place, worker: str) -> Any:
        self.begun.touch()
        time.sleep(20)
        self.ended.touch()


@dataclass(frozen=True)
class Killed:
    """Kills its worker process."""

    def run(self, place: Place, worker: str) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


def ended(workers: LocalWorkers) -> list[tuple[object, Answer | None]]:
    found: list[tuple[object, Answer | None]] = []
    while workers.count:
        found += workers.ended(60)
    return found


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_worker_that_dies_takes_no_other_task_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "query_gpus", lambda *_: [["4"]])
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    asked, killed = Asked(), Killed()
    with closing(LocalWorkers(WorkerOptions(cpu_workers=1, gpus_per_worker=1, threads=3))) as workers:
        gpu, cpu = workers.free()
        workers.begin(killed, cpu)
        workers.begin(asked, gpu)
        assert workers.free() == []
        answers = {id(task): answer for task, answer in ended(workers)}
        assert answers[id(killed)] is None
        answer = answers[id(asked)]
        assert answer is not None and answer.error is None
        pid, cv_threads, encoder_threads, devices, worker = answer.value
        assert pid != os.getpid() and devices == "4"
        assert (cv_threads, encoder_threads) == (3, 1), "the encoder's threads change its bytes"
        assert worker.endswith(" cuda") and answer.worker == worker
        workers.begin(asked, cpu)  # the dead one is started again
        ((_, answer),) = ended(workers)
        assert answer is not None and answer.value[3] is None


def test_a_blocked_task_is_killed_with_its_process_and_the_worker_begins_anew(tmp_path: Path) -> None:
    task = Blocked(tmp_path / "begun", tmp_path / "ended")
    with closing(LocalWorkers(WorkerOptions(cpu_workers=1))) as workers:
        (place,) = workers.free()
        workers.begin(task, place)
        wait_for(task.begun)
        workers.kill()
        assert workers.count == 0
        workers.begin(Asked(), place)
        ((_, answer),) = ended(workers)
        assert answer is not None and answer.value
        task.begun.unlink()
        workers.begin(task, place)
        wait_for(task.begun)
    assert not task.ended.exists(), "close does not wait for it either"
    assert multiprocessing.active_children() == []


def test_gpu_workers_are_free_first_also_after_their_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "query_gpus", lambda *_: [["4"]])
    with closing(LocalWorkers(WorkerOptions(cpu_workers=1, gpus_per_worker=1))) as workers:
        gpu, cpu = workers.free()
        workers.begin(Asked(), gpu)
        ended(workers)
        assert workers.free() == [gpu, cpu]
        assert workers.room == 2


def test_a_worker_that_died_while_idle_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    class BrokenAtFirst(ProcessPoolExecutor):
        def submit(self, *arguments: Any, **others: Any) -> Any:
            calls.append(self)
            if len(calls) == 1:
                raise BrokenProcessPool("it was killed")
            return super().submit(*arguments, **others)

    monkeypatch.setattr(local, "ProcessPoolExecutor", BrokenAtFirst)
    with closing(LocalWorkers(WorkerOptions(cpu_workers=1))) as workers:
        workers.begin(Asked(), workers.free()[0])
        ((_, answer),) = ended(workers)
    assert answer is not None and answer.value
    assert calls[0] is not calls[1]


def test_this_process_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = cv2.getNumThreads()
    perform(Asked(), Place(threads=before + 1), "")
    assert (cv2.getNumThreads(), os.environ["OMP_NUM_THREADS"]) == (before, "3")


def test_another_version_of_mostnet_is_refused() -> None:
    answer = perform(Asked(), Place(), "0.0.0")
    assert answer.error is not None and ", expected 0.0.0; install the same on every machine" in answer.error


@pytest.mark.parametrize(
    ("share", "expected"),
    [(1.0, ["4", "7"]), (0.5, ["4", "4", "7", "7"]), (0.3, ["4"] * 3 + ["7"] * 3), (0.75, ["4", "7"])],
)
def test_gpu_workers_share_the_gpus(monkeypatch: pytest.MonkeyPatch, share: float, expected: list[str]) -> None:
    monkeypatch.setattr(local, "query_gpus", lambda *_: [["4"], ["7"]])
    with closing(LocalWorkers(WorkerOptions(cpu_workers=1, gpus_per_worker=share))) as workers:
        assert [worker._gpu for worker in workers._idle] == [*expected, None]
        assert [place.provider for place in workers.free()] == ["cuda"] * len(expected) + ["cpu"]
