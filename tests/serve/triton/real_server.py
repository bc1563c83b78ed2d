"""A real Triton server with the toy network, or a skip where it is not installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from mostnet import BackendNotInstalledError, ServerBusyError, ServerUnavailableError
from mostnet.bench.gpu.standin.toy import frame_of, reference
from mostnet.engine import Output, Session
from mostnet.serve import TritonSession
from mostnet.serve.triton.process import find_wheel, server_environment
from mostnet.serve.triton.server import LocalServer, _free_port
from tests.toy_graph import save_toy

#: Longest wait for what another process does.
LIMIT_S = 60.0


def need_triton() -> None:
    """Skip the test where Triton's server cannot run; fail under ``MOSTNET_REQUIRE_TRITON=1``."""
    try:
        find_wheel()
        server_environment()
    except BackendNotInstalledError as error:
        if os.environ.get("MOSTNET_REQUIRE_TRITON") == "1":
            pytest.fail(f"MOSTNET_REQUIRE_TRITON=1: {error}")
        pytest.skip(f"{error}; `make test-triton` runs these tests")


def toy_server(folder: Path, **options: Any) -> LocalServer:
    """A server that is not started yet. It keeps its port when it is started again."""
    need_triton()
    return LocalServer(save_toy(folder / "toy.onnx"), threads=1, **{"port": _free_port("127.0.0.1"), **options})


def assert_same(outputs: Iterable[Output], numbers: Sequence[int], *, before: Sequence[int] = ()) -> None:
    """The outputs are, bit by bit, those of an engine of its own that has seen ``before`` and then ``numbers``."""
    outputs = list(outputs)
    assert len(outputs) == len(numbers)
    expected = reference([frame_of(number) for number in (*before, *numbers)])[len(before) :]
    for output, wanted in zip(outputs, expected, strict=True):
        for name in output.names:
            assert np.array_equal(getattr(output, name), wanted[name]), name
        assert output.finite == wanted["finite"]


def run(session: Session, numbers: Iterable[int]) -> list[Output]:
    """The outputs of the frames of these numbers."""
    return [session.infer(frame_of(number)) for number in numbers]


def begin_when_free(session: TritonSession, number: int) -> Output:
    """The first output, as soon as there is a place and gRPC has connected, which it tries once a second."""
    deadline = monotonic() + LIMIT_S
    while True:
        try:
            return session.infer(frame_of(number))
        except (ServerBusyError, ServerUnavailableError):
            assert monotonic() < deadline, "no place came free"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return when ``condition`` holds."""
    deadline = monotonic() + LIMIT_S
    while not condition():
        assert monotonic() < deadline, f"{what} did not come"


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def only_child(pid: int) -> int:
    """The one process that another one started: the model of a server, or the server of a command."""
    children: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            children += (task / "children").read_text(encoding="ascii").split()
    (child,) = map(int, children)
    return child


def memory_of(model: int) -> Path:
    """The memory that Triton shares with the process of the model."""
    words = Path(f"/proc/{model}/cmdline").read_text(encoding="utf-8").split("\0")
    return Path("/dev/shm", next(word for word in words if word.startswith("mostnet-triton-")))


def resident_kb(pid: int) -> int:
    """Memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1])
