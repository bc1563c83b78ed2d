"""What the driver of an archive run asks of its workers, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mostnet.contract import ArchiveError

from .performing import Answer, ArchiveTask
from .records import Place


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Which workers run the tasks.

    Attributes:
        cpu_workers: number of CPU workers; None takes as many as there are cores for.
        threads: CPU threads of one worker.
        gpus_per_worker: share of a GPU that a GPU worker takes; 0 for no GPU workers.
        gpu_only: the engine runs on GPUs alone.
    """

    cpu_workers: int | None = None
    threads: int = 1
    gpus_per_worker: float = 0.0
    gpu_only: bool = False

    def __post_init__(self) -> None:
        if self.gpu_only and not self.gpus_per_worker:
            raise ArchiveError("a .plan file runs on GPUs alone; add --gpus-per-worker F, or give the .onnx file")
        if not 0 <= self.gpus_per_worker <= 1:
            raise ArchiveError(
                f"{self.gpus_per_worker:g} GPUs per worker is no share of a GPU; give a share from 0 to 1"
            )
        if self.cpu_workers == 0 and not self.gpus_per_worker:
            raise ArchiveError("--workers 0 leaves no worker; give a number above 0, or --gpus-per-worker F")

    @property
    def cpu(self) -> Place:
        """A CPU worker."""
        return Place(provider="cpu", threads=self.threads)

    @property
    def gpu(self) -> Place:
        """A GPU worker."""
        return Place(provider="cuda", threads=self.threads)

    def cpu_places(self, cores: float, gpu_workers: int) -> int:
        """CPU workers beside ``gpu_workers``, on this many cores."""
        if self.cpu_workers is not None:
            return self.cpu_workers
        if self.gpu_only:
            return 0
        left = int(cores) // self.threads - gpu_workers
        return max(left, 0 if gpu_workers else 1)

    @property
    def workers_per_gpu(self) -> int:
        """GPU workers on one GPU; a worker never has a part of two."""
        return int(1 / self.gpus_per_worker + 1e-9) if self.gpus_per_worker else 0

    def gpu_places(self, gpus: float) -> int:
        """GPU workers on this many GPUs."""
        return int(gpus) * self.workers_per_gpu


class Workers(Protocol):
    """Runs tasks. It keeps no queue: the driver begins a task when a place for it is free."""

    @property
    def count(self) -> int:
        """Number of running tasks."""

    @property
    def room(self) -> int:
        """Number of tasks with a network that could run at once; 0 while a cluster has no machine for one."""

    def free(self) -> Sequence[Place]:
        """A place for each task that could begin now, GPU workers first."""

    def begin(self, task: ArchiveTask, place: Place) -> None:
        """Begin a task at a free place."""

    def ended(self, timeout_s: float) -> Sequence[tuple[ArchiveTask, Answer | None]]:
        """The tasks that have ended, after a wait if there is none; the answer is None if its worker died."""

    def kill(self) -> None:
        """End the running tasks at once, without an answer."""

    def close(self) -> None:
        """End all workers, and the tasks that still run."""
