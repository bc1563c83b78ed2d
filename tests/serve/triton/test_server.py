"""The options of the local server and its command, without the server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mostnet import BackendNotInstalledError, ModelMissingError, ServerError
from mostnet.serve.triton import server
from mostnet.serve.triton.server import LocalServer, main


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cameras": 0}, "cameras is 0; expected at least 1"),
        ({"at_once": 0}, "at_once is 0; expected at least 1"),
        ({"idle_s": 0.0}, r"idle_s is 0\.0; expected seconds above 0"),
        ({"idle_s": float("nan")}, "idle_s is nan"),
        ({"idle_s": float("inf")}, "idle_s is inf"),
        ({"port": 70_000}, "port is 70000; expected a number up to 65535"),
        ({"metrics_port": -1}, "metrics_port is -1"),
        ({"threads": 0}, "threads is 0; expected at least 1, or None"),
        ({"name": "a/b"}, "name is 'a/b'; expected a name that a folder can have"),
        ({"name": ""}, "name is ''"),
        ({"name": ".."}, r"name is '\.\.'"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LocalServer("model.onnx", **options)


@pytest.mark.parametrize(("threads", "at_once", "each"), [(4, 1, 4), (5, 2, 2), (1, 2, 1)])
def test_frames_that_run_at_once_share_the_threads(threads: int, at_once: int, each: int) -> None:
    settings = LocalServer("model.onnx", threads=threads, at_once=at_once)._settings("memory", Path("lock"))
    assert (settings.at_once, settings.threads) == (at_once, each)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel seems to be there."""
    monkeypatch.setattr(server, "find_wheel", lambda: Path("/nowhere"))


@pytest.mark.usefixtures("installed")
def test_a_model_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"model\.onnx: no such file"):
        LocalServer(tmp_path / "model.onnx").start()


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ServerError, match=rf"^cannot listen at 127\.0\.0\.1, port {port} \(Address already in use\)"
        ):
            server._bind("127.0.0.1", port)
    assert server._bind("127.0.0.1", port) == port


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no host", 0)])
def test_an_address_of_another_machine_is_refused(host: str, port: int) -> None:
    with pytest.raises(ServerError, match=f"^cannot listen at {host}, port {port} "):
        server._bind(host, port)


def test_the_address_of_ipv6_has_brackets() -> None:
    assert LocalServer("model.onnx", host="::1", port=20001).address == "[::1]:20001"
    assert LocalServer("model.onnx", port=20001).address == "127.0.0.1:20001"
    assert "--grpc-address=[::]" in LocalServer("model.onnx", host="::")._options(Path())


def test_the_command_says_in_one_line_what_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> Path:
        raise BackendNotInstalledError("nvidia-pytriton is not installed")

    monkeypatch.setattr(server, "find_wheel", missing)
    assert main(["--engine", "model.onnx"]) == 1
    said = capsys.readouterr().err
    assert said == "python -m mostnet.serve.triton.server: nvidia-pytriton is not installed\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "the following arguments are required: --engine"),
        (["--engine", "m.onnx", "--cameras", "0"], "'0' is not a whole number above 0"),
        (["--engine", "m.onnx", "--idle", "0"], "'0' is not a number above 0"),
        (["--engine", "m.onnx", "--name", "a/b"], "name is 'a/b'"),
    ],
)
def test_wrong_arguments_are_reported_in_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(options)
    found = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said in found
    assert found.count("\n") == 1
