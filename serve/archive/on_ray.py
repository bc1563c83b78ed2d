"""Workers on a Ray cluster: plain Ray tasks, which Ray places, and runs again elsewhere if it loses a machine."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from mostnet.contract import ArchiveError
from mostnet.contract.terminal import one_line
from mostnet.contract.versions import mostnet_version

from .performing import Answer, ArchiveTask, perform
from .records import Place
from .workers import WorkerOptions

#: How long a cluster may take to answer; Ray itself tries for minutes.
_ANSWER_S = 15.0
#: How often Ray runs a task again after the loss of its worker or machine.
_RETRIES = 3
#: How often the cores and GPUs of the cluster are counted.
_COUNT_EVERY_S = 5.0
#: How long Ray may take to end tasks that are killed.
_KILL_S = 5.0
#: Settings of Ray, unless the user has set them: it sends nothing home, and does not retry without end.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_task_oom_retries": "2"}
#: Connects as the driver will, in a process that can be ended.
_TRIAL = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='CRITICAL')"


class RayWorkers:
    """Tasks on a cluster. As many are submitted as its cores and GPUs can run."""

    def __init__(self, address: str, options: WorkerOptions) -> None:
        """Connect to the cluster at ``address``, which is ``host:port`` or ``auto``.

        Raises:
            BackendNotInstalledError: Ray is not installed.
            ArchiveError: the cluster does not answer, or none of its nodes can hold a task.
        """
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        import ray

        _try(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        self._ray: Any = ray
        self._options = options
        self._running: dict[Any, tuple[ArchiveTask, Place]] = {}
        self._counted_s = -_COUNT_EVERY_S
        self._places: dict[Place, int] = {}
        remote = ray.remote(perform)
        settings = {"num_cpus": options.threads, "max_retries": _RETRIES}
        self._perform = {
            options.cpu: remote.options(**settings),
            options.gpu: remote.options(**settings, num_gpus=options.gpus_per_worker),
        }
        try:
            self._count()
            self._check(address)
        except BaseException:
            self.close()
            raise

    @property
    def count(self) -> int:
        """Number of submitted tasks."""
        return len(self._running)

    @property
    def room(self) -> int:
        """Number of tasks with a network that the nodes can hold together, when they were last counted."""
        return self._places[self._options.gpu] + (0 if self._options.gpu_only else self._places[self._options.cpu])

    def free(self) -> Sequence[Place]:
        """A place for each task that the cluster could run beside those submitted."""
        if monotonic() - self._counted_s >= _COUNT_EVERY_S:
            self._count()
        busy = [place for _, place in self._running.values()]
        return [place for place, most in self._places.items() for _ in range(most - busy.count(place))]

    def begin(self, task: ArchiveTask, place: Place) -> None:
        """Submit a task."""
        self._running[self._perform[place].remote(task, place, mostnet_version())] = task, place

    def ended(self, timeout_s: float) -> Sequence[tuple[ArchiveTask, Answer | None]]:
        """The tasks that have ended; a worker that died was tried again by Ray."""
        ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout_s)
        return [(self._running.pop(reference)[0], self._answer(reference)) for reference in ready]

    def kill(self) -> None:
        """End the tasks that run or wait for a place, at once."""
        references = list(self._running)
        self._running.clear()
        with suppress(self._ray.exceptions.RayError):  # the cluster is lost, and they with it
            for reference in references:
                self._ray.cancel(reference, force=True)
            if references:
                self._ray.wait(references, num_returns=len(references), timeout=_KILL_S)

    def close(self) -> None:
        """Leave the cluster, which ends tasks that still run."""
        self._ray.shutdown()

    def _nodes(self) -> list[tuple[float, float]]:
        """Cores and GPUs of each node that lives."""
        found = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return [(resources.get("CPU", 0), resources.get("GPU", 0)) for resources in found]

    def _count(self) -> None:
        """Count the places, node by node, because a task runs on one."""
        self._counted_s, options = monotonic(), self._options
        all_places = [(int(cores) // options.threads, options.gpu_places(gpus)) for cores, gpus in self._nodes()]
        gpu_workers = sum(min(places) for places in all_places)
        left = sum(places for places, _ in all_places) - gpu_workers
        most = (0 if options.gpu_only else left) if options.cpu_workers is None else options.cpu_workers
        self._places = {options.gpu: gpu_workers, options.cpu: min(left, most)}

    def _check(self, address: str) -> None:
        """Check that a task could run.

        Raises:
            ArchiveError: no node can hold one.
        """
        options, nodes = self._options, self._nodes()
        if options.gpus_per_worker and not any(gpus for _, gpus in nodes):
            raise ArchiveError(f"--gpus-per-worker needs a GPU, and the cluster at {address} has none; leave it out")
        if not self.room or (options.gpus_per_worker and not self._places[options.gpu]):
            kind = "node with a GPU" if options.gpus_per_worker else "node"
            largest = max((int(cores) for cores, gpus in nodes if gpus or not options.gpus_per_worker), default=0)
            advice = f"give {largest} or fewer" if largest else f"add a {kind}"
            found = f"no {kind} of the cluster at {address} has so many cores; the largest has {largest}"
            raise ArchiveError(f"--threads {options.threads}: {found}; {advice}")

    def _answer(self, reference: Any) -> Answer:
        try:
            answer: Answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            first = str(error).strip().partition("\n")[0]
            return Answer(error=f"Ray gave it up after {_RETRIES} retries: {type(error).__name__}: {one_line(first)}")
        return answer


def _try(address: str) -> None:
    """Try to connect in another process.

    Raises:
        ArchiveError: the cluster does not answer.
    """
    advice = "start it with `ray start`, on this machine too, and give its address as host:port, or auto"
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRIAL, address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ArchiveError(f"--ray {address}: no cluster answers within {_ANSWER_S:g} s; {advice}") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = said[-1] if said else f"status {done.returncode}"
        raise ArchiveError(f"--ray {address}: cannot be joined ({one_line(reason)}); {advice}")
