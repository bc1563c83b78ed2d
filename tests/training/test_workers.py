"""Processes that read clips: they end with the training process, and their failures are one line."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch.utils.data import Dataset

from mostnet.contract import DatasetError
from mostnet.training import TrainOptions, train, workers
from mostnet.training.workers import WorkersError, failures_of_workers, loader

from .moving_scenes import write_dataset

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads the processes of Linux")

FLAGS = "--batch 1 --clip 2 --chunks 1 --crop 64x80 --threads 1 --workers 2 --validate-every 0 --log-every 1"
SMALL = TrainOptions(
    batch=1, clip=2, chunks=1, crop_hw=(64, 80), threads=1, validate_every=0, log_every=1, steps=2, device="cpu"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=3, val=1, frames=5, size_hw=(80, 96))


@contextmanager
def training(data: Path, run: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A run with two workers after its second step, and the ids of the workers."""
    command = [sys.executable, "-m", "mostnet.training.cli", str(data), "--out", str(run), "--device", "cpu"]
    process = subprocess.Popen(
        [*command, "--steps", "100000", *FLAGS.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("step 2 "):
                break
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield process, [int(child) for child in children]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="a signal of Unix")
def test_deaths_of_workers_are_ignored_in_the_block_and_in_the_main_thread_alone() -> None:
    def handler(*_: object) -> None:
        pytest.fail("no child ends here")

    seen: list[object] = []

    def look() -> None:
        with suppress(DatasetError), workers._deaths_ignored():
            seen.append(signal.getsignal(signal.SIGCHLD))
            raise DatasetError("the block fails")

    before = signal.signal(signal.SIGCHLD, handler)
    try:
        look()
        assert signal.getsignal(signal.SIGCHLD) is handler
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert seen == [signal.SIG_DFL, handler]
    finally:
        signal.signal(signal.SIGCHLD, before)


def ended(processes: list[int], *, within_s: float) -> bool:
    end_s = time.monotonic() + within_s
    while any(Path(f"/proc/{process}").exists() for process in processes):
        if time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    return True


@linux_only
def test_workers_end_when_the_run_is_killed(data: Path, tmp_path: Path) -> None:
    with training(data, tmp_path / "run") as (process, workers):
        assert len(workers) >= 2
        process.kill()
        assert ended(workers, within_s=3)


@linux_only
def test_a_killed_worker_ends_the_run_with_one_line(data: Path, tmp_path: Path) -> None:
    with training(data, tmp_path / "run") as (process, workers):
        os.kill(workers[0], signal.SIGKILL)  # as the kernel does when memory runs out
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith(
        "mostnet-train: one of --workers died, often for lack of memory; lower --workers (0 starts none) or --batch; "
    )


@linux_only
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root")
@pytest.mark.parametrize("size", ["64k", "1m"])
def test_little_shared_memory_ends_the_run_with_one_line(data: Path, tmp_path: Path, size: str) -> None:
    train = f"{sys.executable} -m mostnet.training.cli {data} --out {tmp_path / 'run'} --steps 3 --device cpu"
    script = f"mount -t tmpfs -o size={size} tmpfs /dev/shm || exit 77; exec {train} {FLAGS} --batch 8"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine allows no mounts")
    assert done.returncode == 1, done.stdout
    assert done.stderr.splitlines()[-1].startswith(
        "mostnet-train: no shared memory is left for --workers in /dev/shm; lower --workers (0 starts none) or --batch"
    )
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run/last.pt").exists(), "a run without a step can be started again"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible ...", "no shared memory is left"),
        ("unable to mmap 128 bytes from file </torch_7>: shared memory", "no shared memory is left"),
        ("received 0 items of ancdata", "need more open files than this system allows"),
        ("DataLoader worker (pid 7) is killed by signal: Killed.", "one of --workers died"),
        ("DataLoader worker (pid(s) 7) exited unexpectedly", "one of --workers died"),
        ("[Errno 12] Cannot allocate memory", "no memory is left to start --workers"),
    ],
)
def test_what_a_failure_means(text: str, meaning: str) -> None:
    with pytest.raises(WorkersError, match=meaning) as error, failures_of_workers():
        raise RuntimeError(text)
    assert "--workers" in str(error.value)


class Failing(Dataset[torch.Tensor]):
    """Data whose fourth item cannot be read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getitem__(self, item: int) -> torch.Tensor:
        if item == 3:
            raise self._error
        return torch.zeros(1)


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError(104, "Connection reset by peer")])
def test_a_worker_that_ends_while_it_hands_memory_over_has_died(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    others = multiprocessing.active_children()
    batches = loader(Failing(error), workers=1, batch_size=1, sampler=range(9))
    next(batches)
    (worker,) = set(multiprocessing.active_children()) - set(others)
    with pytest.raises(WorkersError, match="one of --workers died"):
        list(batches)
    assert worker.exitcode == 0, "it was not told to end, and PyTorch killed it after seconds"
    with pytest.raises(type(error)):
        list(loader(Failing(error), workers=0, batch_size=1, sampler=range(9)))
    workers._report(type(error), error, None)  # in a worker, while the training process ends
    assert capsys.readouterr().err == ""
    workers._report(ValueError, ValueError("a fault of ours"), None)
    assert "a fault of ours" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "workers"), [(BrokenPipeError(32, "Broken pipe"), 1), (RuntimeError("no shared memory"), 0)]
)
def test_an_error_of_the_report_is_none_of_the_workers(
    data: Path, tmp_path: Path, error: Exception, workers: int
) -> None:
    def report(line: str) -> None:
        if line.startswith("step "):
            raise error

    with pytest.raises(type(error)) as raised:
        train(data, tmp_path / "run", options=replace(SMALL, workers=workers), report=report)
    assert raised.value is error


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_ours_comes_without_the_traceback_of_the_worker(workers: int) -> None:
    batches = loader(Failing(DatasetError("it is bad")), workers=workers, batch_size=1, sampler=range(9))
    with pytest.raises(DatasetError, match=r"^it is bad$"):
        list(batches)


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError])
def test_workers_end_at_an_error_while_the_caller_keeps_it(kind: type[Exception]) -> None:
    others = multiprocessing.active_children()
    batches = loader(Failing(kind("a fault of ours")), workers=1, batch_size=1, sampler=range(9))
    with pytest.raises(kind, match="a fault of ours") as kept:
        list(batches)
    assert set(multiprocessing.active_children()) <= set(others)
    del kept


@pytest.fixture
def collector() -> Iterator[None]:
    """Enables the collector again after the test."""
    yield
    gc.enable()


class Collecting(Dataset[bool]):
    """Each item says whether ``Left`` was destroyed in this process, after its garbage was collected."""

    def __getitem__(self, item: int) -> bool:
        gc.collect()
        return os.getpid() in Left.destroyed_in


class Left:
    """What a user of this process left, in a circle that only the collector frees."""

    destroyed_in: ClassVar[list[int]] = []

    def __init__(self) -> None:
        self.circle = self

    def __del__(self) -> None:
        self.destroyed_in.append(os.getpid())


@linux_only
def test_a_worker_destroys_nothing_that_this_process_left(collector: None) -> None:
    gc.collect()
    Left.destroyed_in.clear()
    gc.disable()
    Left()
    assert not any(loader(Collecting(), workers=1, batch_size=1, sampler=range(3)))
    gc.collect()
    assert Left.destroyed_in == [os.getpid()]


class CollectorEnabled(Dataset[bool]):
    """Each item says whether this process collects garbage by itself."""

    def __getitem__(self, item: int) -> bool:
        return gc.isenabled()


class Sampler(list[int]):
    """Items, and whether the collector was enabled in this process when a loader asked for them."""

    enabled: bool | None = None

    def __iter__(self) -> Iterator[int]:
        self.enabled = gc.isenabled()
        return super().__iter__()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("enabled", [True, False])
def test_a_worker_collects_garbage_if_this_process_does(collector: None, enabled: bool, method: str) -> None:
    (gc.enable if enabled else gc.disable)()
    frozen = gc.get_freeze_count()
    sampler = Sampler(range(3))
    batches = loader(CollectorEnabled(), workers=1, batch_size=1, sampler=sampler, multiprocessing_context=method)
    assert [bool(each) for each in batches] == [enabled] * 3
    assert sampler.enabled is False, "a worker must begin without the collector"
    assert gc.isenabled() == enabled
    assert gc.get_freeze_count() == frozen, "an application may have frozen objects of its own"


@linux_only
def test_batches_that_are_left_at_the_exit_print_nothing() -> None:
    code = (
        "from mostnet.training.workers import loader\n"
        "batches = loader(list(range(9)), workers=1, batch_size=1, sampler=range(9))\n"
        "assert next(batches) == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
