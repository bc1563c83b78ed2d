"""A Ray cluster of two nodes on this machine, of which one is lost half way."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from mostnet.contract import ArchiveError
from mostnet.serve.archive import on_ray
from mostnet.serve.archive.on_ray import RayWorkers
from mostnet.serve.archive.workers import WorkerOptions

from .clips import digests, write_clips

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is missing")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs the processes of Linux")

_CLIPS = 24
_LIMIT_S = 60
#: A token of its own, because from Ray 2.59 on the user's token may count for one node and not for the other.
_ENVIRONMENT = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            found.append(one.getsockname()[1])
        return found


def wait_until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + _LIMIT_S
    while not true():
        assert time.monotonic() < end, f"no {what} within {_LIMIT_S} s"
        time.sleep(0.05)


def children(parent: int) -> dict[int, str]:
    """Command lines of the processes that ``parent`` started, by their number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]) == parent:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = line.decode(errors="replace")
        except OSError:  # it ended
            continue
    return found


def raylet(node: subprocess.Popen[bytes]) -> int | None:
    """The process of a node that runs its tasks."""
    return next((pid for pid, line in children(node.pid).items() if "/raylet " in line.partition("--")[0]), None)


@contextmanager
def ray_node(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node with one core, in the foreground, so that it ends with its process."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1"]
    command += ["--disable-usage-stats", "--object-store-memory", "100000000", *arguments]
    quiet = subprocess.DEVNULL
    node = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, env=_ENVIRONMENT)
    try:
        yield node
    finally:
        started = children(node.pid)
        node.terminate()  # it ends what it has started
        try:
            node.wait(20)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def cluster() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of two nodes, and the second one."""
    port, client_port, dashboard_port = free_ports(3)
    address = f"127.0.0.1:{port}"
    head = ["--head", "--include-dashboard=false", "--port", str(port), "--ray-client-server-port", str(client_port)]
    with (
        tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder,
        ExitStack() as nodes,
    ):
        nodes.enter_context(ray_node(*head, "--dashboard-port", str(dashboard_port), "--temp-dir", folder))
        wait_until(lambda: answers(port), "head")
        second = nodes.enter_context(ray_node("--address", address))
        wait_until(lambda: raylet(second), "second node")
        yield address, second


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def run_archive(source: Path, out: Path, toy: Path, *others: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mostnet.serve.archive.cli", str(source), "--out", str(out), "--engine", str(toy)]
    return subprocess.Popen(
        [*command, *others], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", env=_ENVIRONMENT
    )


@needs_proc
@pytest.mark.slow
def test_every_result_is_there_once_after_a_node_is_lost(
    cluster: tuple[str, subprocess.Popen[bytes]], toy: Path, tmp_path: Path
) -> None:
    address, second = cluster
    source, out, alone = tmp_path / "in", tmp_path / "out", tmp_path / "alone"
    write_clips(source, [f"{k:02}.mp4" for k in range(_CLIPS)], frames=12)
    with run_archive(source, alone, toy, "--workers", "1") as local:
        assert local.wait(_LIMIT_S) == 0, local.stdout and local.stdout.read()

    with run_archive(source, out, toy, "--ray", address) as run:
        wait_until(lambda: len(list(out.glob("*.mp4"))) >= _CLIPS // 3, "third of the results")
        lost = raylet(second)
        assert lost is not None
        wait_until(lambda: any(line.startswith("ray::perform") for line in children(lost).values()), "task on the node")
        os.kill(lost, signal.SIGKILL)
        assert len(list(out.glob("*.mp4"))) < _CLIPS, "the node was lost too late"
        printed, _ = run.communicate(timeout=120)
    assert run.returncode == 0, printed
    named = [line.partition(":")[0] for line in printed.splitlines() if line.startswith(f"{out}/")]
    assert sorted(named) == [str(path) for path in sorted(out.glob("*.mp4"))], "each is told once"
    assert digests(out) == digests(alone)
    assert len(digests(out)) == _CLIPS


def test_an_address_that_does_not_answer_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "_ANSWER_S", 3.0)
    (port,) = free_ports(1)
    with pytest.raises(ArchiveError, match=f"--ray 127.0.0.1:{port}: no cluster answers within 3 s; start it with"):
        RayWorkers(f"127.0.0.1:{port}", WorkerOptions())


def test_an_address_that_is_none_is_one_error() -> None:
    with pytest.raises(
        ArchiveError, match=r"--ray nowhere: cannot be joined \(ValueError: Invalid address.*\); start it"
    ):
        RayWorkers("nowhere", WorkerOptions())
