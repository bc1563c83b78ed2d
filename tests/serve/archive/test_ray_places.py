"""How many tasks the nodes of a cluster can hold, told without a cluster."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import pytest

from mostnet.contract import ArchiveError
from mostnet.serve.archive import on_ray
from mostnet.serve.archive.on_ray import RayWorkers
from mostnet.serve.archive.workers import WorkerOptions

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is missing")


def node(cores: float, gpus: float = 0, *, lives: bool = True) -> dict[str, Any]:
    resources = {"CPU": cores, "GPU": gpus} if gpus else {"CPU": cores}
    return {"Alive": lives, "Resources": resources}


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The nodes of the cluster; a change is seen at once."""
    import ray

    found: list[dict[str, Any]] = []
    monkeypatch.setattr(on_ray, "_try", lambda _: None)
    monkeypatch.setattr(on_ray, "_COUNT_EVERY_S", 0.0)
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "nodes", lambda: found)
    return found


@pytest.mark.parametrize(
    ("options", "cluster", "cuda", "cpu"),
    [
        (WorkerOptions(threads=3), [node(4), node(8), node(2), node(64, lives=False)], 0, 3),
        (WorkerOptions(threads=3, cpu_workers=2), [node(4), node(8)], 0, 2),
        (WorkerOptions(threads=3, cpu_workers=9), [node(4), node(8)], 0, 3),
        (WorkerOptions(gpus_per_worker=0.5), [node(8, 1), node(1, 4), node(4)], 3, 10),
        (WorkerOptions(gpus_per_worker=0.75), [node(8, 2)], 2, 6),
        (WorkerOptions(gpus_per_worker=1, gpu_only=True), [node(8, 2)], 2, 0),
        (WorkerOptions(gpus_per_worker=1, cpu_workers=0), [node(8, 2)], 2, 0),
    ],
)
def test_a_task_needs_its_place_on_one_node(
    nodes: list[dict[str, Any]], options: WorkerOptions, cluster: list[dict[str, Any]], cuda: int, cpu: int
) -> None:
    nodes += cluster
    workers = RayWorkers("auto", options)
    providers = [place.provider for place in workers.free()]
    assert providers == ["cuda"] * cuda + ["cpu"] * cpu
    assert workers.room == len(providers)


@pytest.mark.parametrize(
    ("options", "cluster", "error"),
    [
        (
            WorkerOptions(threads=9),
            [node(4), node(8)],
            "--threads 9: no node of the cluster at auto has so many cores; the largest has 8; give 8 or fewer",
        ),
        (
            WorkerOptions(),
            [node(0)],
            "--threads 1: no node of the cluster at auto has so many cores; the largest has 0; add a node",
        ),
        (
            WorkerOptions(threads=4, gpus_per_worker=1),
            [node(2, 1), node(8)],
            "--threads 4: no node with a GPU of the cluster at auto has so many cores; the largest has 2; give 2 or "
            "fewer",
        ),
        (
            WorkerOptions(gpus_per_worker=1),
            [node(8)],
            "--gpus-per-worker needs a GPU, and the cluster at auto has none; leave it out",
        ),
    ],
)
def test_a_task_that_no_node_can_hold_is_one_error(
    nodes: list[dict[str, Any]], options: WorkerOptions, cluster: list[dict[str, Any]], error: str
) -> None:
    nodes += cluster
    with pytest.raises(ArchiveError, match=f"^{re.escape(error)}$"):
        RayWorkers("auto", options)


def test_room_follows_the_cluster(nodes: list[dict[str, Any]]) -> None:
    nodes += [node(4, 1)]
    workers = RayWorkers("auto", WorkerOptions(gpus_per_worker=1, gpu_only=True, cpu_workers=1))
    assert (len(workers.free()), workers.room) == (2, 1)
    nodes[:] = [node(4)]
    assert (len(workers.free()), workers.room) == (1, 0), "a CPU worker runs no plan"


def test_tasks_are_cancelled_begun_or_not(nodes: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    cancelled: list[tuple[object, bool]] = []
    waited: list[list[object]] = []
    monkeypatch.setattr(ray, "cancel", lambda reference, *, force: cancelled.append((reference, force)))
    monkeypatch.setattr(ray, "wait", lambda references, **_: waited.append(references))
    nodes += [node(4)]
    options = WorkerOptions()
    workers = RayWorkers("auto", options)
    workers.kill()
    assert (cancelled, waited) == ([], [])
    monkeypatch.setattr(workers, "_perform", {options.cpu: type("", (), {"remote": lambda *_: "reference"})})
    workers.begin(None, options.cpu)  # type: ignore[arg-type]
    workers.kill()
    assert (cancelled, waited, workers.count) == ([("reference", True)], [["reference"]], 0)
