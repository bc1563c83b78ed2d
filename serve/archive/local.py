"""Workers on this machine: one process each, so that one that dies takes no other task with it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess

from mostnet.contract import ArchiveError
from mostnet.contract.cores import usable_cores
from mostnet.contract.nvidia_smi import query_gpus
from mostnet.contract.stopping import leave_stopping_to_the_parent, signals_wait
from mostnet.contract.versions import mostnet_version

from .performing import Answer, ArchiveTask, perform
from .records import Place
from .workers import WorkerOptions


class LocalWorkers:
    """Worker processes of this machine. Each starts with its first task, and ends with this process."""

    def __init__(self, options: WorkerOptions) -> None:
        """Count the workers.

        Raises:
            ArchiveError: GPU workers are wanted, and there is no GPU.
        """
        gpus = [row[0] for row in query_gpus("index")] if options.gpus_per_worker else []
        if options.gpus_per_worker and not gpus:
            raise ArchiveError("--gpus-per-worker needs an NVIDIA GPU, and there is none here; leave it out")
        gpu_workers = options.gpu_places(len(gpus))
        numbers = [gpus[k // options.workers_per_gpu] for k in range(gpu_workers)]
        cpu_workers = options.cpu_places(usable_cores(), gpu_workers)
        self._idle = [
            *(_Worker(options.gpu, gpu=number) for number in numbers),
            *(_Worker(options.cpu) for _ in range(cpu_workers)),
        ]
        self._room = len(self._idle)
        self._busy: dict[Future[Answer], tuple[ArchiveTask, _Worker]] = {}

    @property
    def count(self) -> int:
        """Number of running tasks."""
        return len(self._busy)

    @property
    def room(self) -> int:
        """Number of workers."""
        return self._room

    def free(self) -> Sequence[Place]:
        """The place of each idle worker, GPU workers first."""
        return sorted((worker.place for worker in self._idle), key=lambda place: place.provider == "cpu")

    def begin(self, task: ArchiveTask, place: Place) -> None:
        """Give a task to the first idle worker of a place."""
        worker = next(worker for worker in self._idle if worker.place == place)
        self._idle.remove(worker)
        self._busy[worker.begin(task)] = task, worker

    def ended(self, timeout_s: float) -> Sequence[tuple[ArchiveTask, Answer | None]]:
        """The tasks that have ended; see ``Workers``."""
        futures = wait(self._busy, timeout=timeout_s, return_when=FIRST_COMPLETED).done
        found: list[tuple[ArchiveTask, Answer | None]] = []
        for future in futures:
            task, worker = self._busy.pop(future)
            self._idle.append(worker)
            try:
                found.append((task, future.result()))
            except BrokenProcessPool:
                worker.close()
                found.append((task, None))
        return found

    def kill(self) -> None:
        """End the processes of the running tasks at once: a task may wait for ever, as on a mount that is stalled."""
        workers = [worker for _, worker in self._busy.values()]
        self._busy.clear()
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.close()
        self._idle += workers

    def close(self) -> None:
        """End all workers, and the tasks that still run."""
        self.kill()
        for worker in self._idle:
            worker.close(wait=False)
        for worker in self._idle:
            worker.close()


class _Worker:
    """A process that is started by its first task, and again by the first after its death."""

    def __init__(self, place: Place, *, gpu: str | None = None) -> None:
        self.place = place
        self._gpu = gpu
        self._pool: ProcessPoolExecutor | None = None
        self._processes: list[BaseProcess] = []

    def begin(self, task: ArchiveTask) -> Future[Answer]:
        try:
            return self._submit(task)
        except BrokenProcessPool:  # the process died while it was idle
            self.close()
            return self._submit(task)

    def _submit(self, task: ArchiveTask) -> Future[Answer]:
        with signals_wait():  # the process inherits the wait, and ends when this one lets it
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    1, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(self._gpu,)
                )
            future = self._pool.submit(perform, task, self.place, mostnet_version())
            self._processes = list(self._pool._processes.values())  # the pool forgets them when it breaks
            return future

    def kill(self) -> None:
        for process in self._processes:
            process.kill()

    def close(self, *, wait: bool = True) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=wait)
        if wait:
            self._pool = None


def _prepare(gpu: str | None) -> None:
    """Prepare a worker process."""
    leave_stopping_to_the_parent()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
