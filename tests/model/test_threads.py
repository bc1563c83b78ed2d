"""PyTorch keeps to the CPU limit of a container, to cores that are free, and to a number that was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from mostnet.contract import cores
from mostnet.model import threads
from mostnet.model.threads import TorchThreads, limit_torch_threads, torch_settings_kept


@pytest.mark.parametrize(("before", "limit", "after"), [(4, 2, 2), (1, 2, 1), (3, 3, 3)])
def test_threads_are_lowered_and_never_raised(
    monkeypatch: pytest.MonkeyPatch, before: int, limit: int, after: int
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: limit)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    earlier = torch.get_num_threads()
    try:
        torch.set_num_threads(before)
        limit_torch_threads()
        assert torch.get_num_threads() == after
    finally:
        torch.set_num_threads(earlier)
    assert "OMP_NUM_THREADS" not in os.environ


class Counts:
    """Stands for ``FreeCores``: gives these counts, one after the other."""

    def __init__(self, counts: list[int | None]) -> None:
        self._counts = iter(counts)

    def count(self, *, least_s: float) -> int | None:
        return next(self._counts)


@pytest.fixture
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cores, "usable_cores", lambda: 3)
    monkeypatch.setattr(threads.time, "sleep", lambda seconds: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with torch_settings_kept():
        torch.set_num_threads(3)
        yield


@pytest.mark.usefixtures("three_threads")
def test_threads_follow_the_free_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "FreeCores", lambda: Counts([2, None, 1, 8]))
    followed = TorchThreads()
    found = [torch.get_num_threads()]
    for _ in range(3):
        followed.follow()
        found.append(torch.get_num_threads())
    assert found == [2, 2, 1, 3] and followed.most == 3


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(("asked", "environment", "expected"), [(2, None, 2), (5, "1", 5), (None, "3", 3)])
def test_a_number_that_was_asked_for_stays(
    monkeypatch: pytest.MonkeyPatch, asked: int | None, environment: str | None, expected: int
) -> None:
    monkeypatch.setattr(threads, "FreeCores", lambda: Counts([1, 1]))
    if environment is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
    followed = TorchThreads(asked)
    followed.follow()
    assert torch.get_num_threads() == expected


def test_the_first_use_of_cuda_in_a_block_leaves_its_seed_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(7)
        drawn = torch.rand(3)
        torch.manual_seed(7)
        with torch_settings_kept():
            torch.manual_seed(3)
        assert torch.equal(torch.rand(3), drawn)
    assert seeds[-2:] == [3, 7]


def test_commands_choose_before_pytorch_is_there() -> None:
    """A choice after the import of PyTorch has no effect."""
    code = (
        "import os, sys\n"
        "from mostnet.contract import cores\n"
        "def seen(): print('torch' in sys.modules); raise SystemExit\n"
        "{}\n"
    )
    for use in (
        "import mostnet.training.cli as m; m.limit_spinning = seen; m.main(['DATA', '--out', 'RUN'])",
        "import mostnet.training.evaluation.cli as m; m.limit_spinning = seen; m.main(['nano', 'DATA'])",
        "import mostnet.training.labelling.cli as m; m.limit_spinning = seen; m.main(['DATA', '--method', 'dis'])",
        "import mostnet.training as m; m.limit_spinning = seen; m.train",
    ):
        done = subprocess.run([sys.executable, "-c", code.format(use)], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "False", done.stderr
