"""What the client mends by itself, with a real Triton server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mostnet import StateLostError
from mostnet.bench.gpu.standin.toy import frame_of
from mostnet.serve import TritonSession
from mostnet.serve.triton import lane
from mostnet.serve.triton.server import LocalServer

from .real_server import assert_same, only_child, run, toy_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    with toy_server(tmp_path, cameras=3) as found:
        yield found


def test_a_restart_costs_no_frame_that_starts_a_sequence(server: LocalServer) -> None:
    with (
        TritonSession(server.address, shared_memory=True) as new,
        TritonSession(server.address, shared_memory=True) as begun,
        TritonSession(server.address, shared_memory=True) as warm,
    ):
        run(begun, [1])
        server.stop()
        server.start()
        warm.warm_up()
        begun.reset()
        assert_same(run(new, [2, 3]), [2, 3])
        assert_same(list(begun.stream(map(frame_of, [4, 5]))), [4, 5])
        assert_same(run(warm, [6]), [6])
        assert all(session.shared_memory for session in (new, begun, warm))


@pytest.mark.parametrize("shared_memory", [True, False])
def test_a_reset_right_after_a_frame_that_was_given_up(
    server: LocalServer, shared_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.pid is not None
    model = only_child(server.pid)
    with TritonSession(server.address, shared_memory=shared_memory) as session:
        run(session, [1])
        monkeypatch.setattr(lane, "_ANSWER_S", 0.3)
        os.kill(model, signal.SIGSTOP)
        try:
            with pytest.raises(StateLostError):
                run(session, [2])
        finally:
            os.kill(model, signal.SIGCONT)
        monkeypatch.undo()
        session.reset()
        assert_same(run(session, [3, 4]), [3, 4])
