"""Ends of clients, servers and their parents, with a real Triton server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from urllib.request import urlopen

import pytest

from mostnet import ServerBusyError, ServerError, ServerUnavailableError, StateLostError
from mostnet.bench.gpu.standin.toy import frame_of
from mostnet.engine import Output
from mostnet.serve import TritonSession
from mostnet.serve.triton.server import LocalServer, _free_port

from .real_server import (
    LIMIT_S,
    assert_same,
    begin_when_free,
    is_alive,
    memory_of,
    need_triton,
    only_child,
    run,
    toy_server,
    wait_until,
)

IDLE_S = 2.0

_CLIENT = """
import sys
from mostnet.bench.gpu.standin.toy import frame_of
from mostnet.serve import TritonSession
session = TritonSession(sys.argv[1])
session.infer(frame_of(1))
print("has a place", flush=True)
while True:
    session.infer(frame_of(2))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    with toy_server(tmp_path, cameras=2, idle_s=IDLE_S) as found:
        yield found


def test_the_place_of_a_killed_client_comes_free_and_the_others_go_on(server: LocalServer) -> None:
    command = [sys.executable, "-c", _CLIENT, server.address]
    begun, done = Event(), Event()

    def go_on() -> tuple[list[Output], list[int]]:
        outputs, numbers = [], []
        with TritonSession(server.address) as session:
            while not done.is_set():
                numbers.append(len(numbers) % 250)
                outputs += run(session, numbers[-1:])
                begun.set()
        return outputs, numbers

    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as client,
        ThreadPoolExecutor(1) as pool,
        TritonSession(server.address) as late,
    ):
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == b"has a place\n"
            other = pool.submit(go_on)
            assert begun.wait(LIMIT_S)
            with pytest.raises(ServerBusyError):
                late.infer(frame_of(7))
            client.kill()
            assert_same([begin_when_free(late, 7), *run(late, [8])], [7, 8])
        finally:
            client.kill()
            done.set()
        outputs, numbers = other.result()
    assert_same(outputs, numbers)


def test_an_idle_camera_loses_its_state_and_begins_anew_by_a_reset(server: LocalServer) -> None:
    with TritonSession(server.address) as idle, TritonSession(server.address) as other:
        run(idle, [1, 2])
        run(other, [3])
        with TritonSession(server.address) as late:
            begin_when_free(late, 4)  # in the place of one that was idle for too long
        with pytest.raises(StateLostError):
            idle.infer(frame_of(5))
        with pytest.raises(StateLostError):
            idle.infer(frame_of(6))
        idle.reset()
        assert_same([begin_when_free(idle, 7), *run(idle, [8])], [7, 8])


@pytest.mark.parametrize("shared_memory", [True, False])
def test_after_a_restart_the_state_is_lost_until_a_reset(server: LocalServer, shared_memory: bool) -> None:
    with TritonSession(server.address, shared_memory=shared_memory) as session:
        run(session, [1, 2])
        server.stop()
        with pytest.raises(StateLostError):
            session.infer(frame_of(3))
        session.reset()
        with pytest.raises(ServerUnavailableError):
            session.infer(frame_of(4))
        server.start()
        session.reset()
        assert_same([begin_when_free(session, 5), *run(session, [6, 7])], [5, 6, 7])


def test_a_restart_between_two_frames_is_noticed(server: LocalServer) -> None:
    with TritonSession(server.address) as session:
        run(session, [1, 2])
        server.stop()
        server.start()
        with pytest.raises(StateLostError):
            session.infer(frame_of(3))
        session.reset()
        assert_same([begin_when_free(session, 4), *run(session, [5])], [4, 5])


def test_stop_leaves_nothing_and_may_be_called_twice(tmp_path: Path) -> None:
    server = toy_server(tmp_path)
    server.start()
    server.start()
    assert server.pid is not None
    processes = [server.pid, only_child(server.pid)]
    memory = memory_of(processes[1])
    assert all(map(is_alive, processes))
    assert memory.exists()
    server.stop()
    server.stop()
    assert server.pid is None
    wait_until(lambda: not any(map(is_alive, processes)), "the end of the server")
    assert not memory.exists()


def test_a_server_that_dies_is_told_and_leaves_nothing(server: LocalServer) -> None:
    assert server.pid is not None
    model = only_child(server.pid)
    with TritonSession(server.address) as session:
        run(session, [1])
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ServerError, match=r"^Triton's server does not run: it was ended by SIGKILL$"):
            server.wait()
        wait_until(lambda: not is_alive(model), "the end of the model")
        with pytest.raises(StateLostError):
            session.infer(frame_of(2))
    server.stop()
    server.start()


def test_a_server_whose_model_dies_ends(server: LocalServer) -> None:
    assert server.pid is not None
    triton = server.pid
    memory = memory_of(only_child(triton))
    with TritonSession(server.address) as session:
        run(session, [1])
        os.kill(only_child(triton), signal.SIGKILL)
        with pytest.raises(ServerError, match=r"^Triton's server does not run: the model's process ended$"):
            server.wait()
        assert not is_alive(triton)
        assert not memory.exists()
        server.stop()
        server.start()
        session.reset()
        assert_same([begin_when_free(session, 5)], [5])


def test_a_server_that_does_not_start_gives_the_reason(tmp_path: Path) -> None:
    server = toy_server(tmp_path)
    server._more_ports["http"] = server._wanted_port  # found free, and then taken by Triton itself
    with pytest.raises(ServerError, match=r"^Triton's server does not run: .*") as failed:
        server.start()
    assert "\n" not in str(failed.value)
    assert str(server._wanted_port) in str(failed.value)
    assert server.pid is None


def test_only_its_own_address_is_open(server: LocalServer) -> None:
    port = int(server.address.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), LIMIT_S).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), LIMIT_S)


@pytest.mark.parametrize("host", ["::1", "::"])
def test_a_server_at_an_address_of_ipv6(tmp_path: Path, host: str) -> None:
    try:
        http, metrics = _free_port(host), _free_port(host)
    except ServerError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with (
        toy_server(tmp_path, host=host, port=0, http_port=http, metrics_port=metrics) as server,
        TritonSession(server.address) as camera,
    ):
        assert_same(run(camera, [1, 2]), [1, 2])
        for port, path in ((http, "v2/models/mostnet/ready"), (metrics, "metrics")):
            with urlopen(f"http://[::1]:{port}/{path}", timeout=LIMIT_S) as answer:
                assert answer.status == 200


def test_a_port_that_another_server_has_is_refused(server: LocalServer, tmp_path: Path) -> None:
    second = toy_server(tmp_path, port=server._wanted_port)
    with pytest.raises(ServerError, match="Address already in use"):
        second.start()
    with TritonSession(server.address) as session:
        assert_same(run(session, [1]), [1])


@pytest.fixture
def command(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, list[int]]]:
    """The command, the address that it told, and the processes of Triton."""
    need_triton()
    port = toy_server(tmp_path)._wanted_port
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mostnet.serve.triton.server", "--engine", str(tmp_path / "toy.onnx")),
            *("--port", str(port), "--cameras", "3"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told == f"mostnet takes frames of 3 cameras at 127.0.0.1:{port} until Ctrl-C\n", process.communicate()
        server = only_child(process.pid)
        yield process, f"127.0.0.1:{port}", [server, only_child(server)]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_its_command_however_that_ends(
    command: tuple[subprocess.Popen[str], str, list[int]], number: signal.Signals
) -> None:
    process, address, processes = command
    memory = memory_of(processes[1])
    assert memory.exists()
    with TritonSession(address) as session:
        run(session, [1, 2])
        process.send_signal(number)
        said = process.communicate()[1]
        if number != signal.SIGKILL:
            assert process.returncode == 128 + number
            assert said == "python -m mostnet.serve.triton.server: stopped\n"
        wait_until(lambda: not any(map(is_alive, processes)), "the end of the server")
        assert not memory.exists()
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        pass  # the port is free


@pytest.mark.parametrize(("killed", "reason"), [(0, "it was ended by SIGKILL"), (1, "the model's process ended")])
def test_the_command_ends_with_the_server_and_its_model(
    command: tuple[subprocess.Popen[str], str, list[int]], killed: int, reason: str
) -> None:
    process, _, processes = command
    os.kill(processes[killed], signal.SIGKILL)
    said = process.communicate(timeout=LIMIT_S)[1]
    assert process.returncode == 1
    assert said == f"python -m mostnet.serve.triton.server: Triton's server does not run: {reason}\n"
    wait_until(lambda: not any(map(is_alive, processes)), "the end of both")
