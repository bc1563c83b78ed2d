"""A Triton server on this machine that serves an engine to cameras, without a GPU.

``nvidia-pytriton`` brings the server. Its Python backend runs one engine, with a session for each camera.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from mostnet.contract import ServerError, ServerUnavailableError
from mostnet.contract.arguments import positive_float, positive_int
from mostnet.contract.cores import default_threads
from mostnet.contract.files import staging_folder
from mostnet.contract.terminal import CommandParser, command, counted
from mostnet.engine import Engine

from .connection import Connection
from .process import ServerProcess, find_wheel
from .repository import ServerSettings, link_backend, write_repository

_NAME = "mostnet.serve.triton.server"

#: Triton's usual port for gRPC.
PORT = 8001

#: Triton counts microseconds in 64 bits.
_LONGEST_IDLE_S = 1e9

_ASK_S = 1.0
_POLL_S = 0.05
_TRIES = 3


class LocalServer:
    """A Triton server that runs while the block does::

    with LocalServer("model.onnx", cameras=8) as server:
        camera = TritonSession(server.address)

    It ends with this process, however that ends.
    """

    def __init__(
        self,
        engine: str | os.PathLike[str],
        *,
        cameras: int = 8,
        idle_s: float = 10.0,
        threads: int | None = None,
        at_once: int = 1,
        host: str = "127.0.0.1",
        port: int = 0,
        http_port: int | None = None,
        metrics_port: int | None = None,
        name: str = "mostnet",
        start_s: float = 120.0,
    ) -> None:
        """Nothing starts yet.

        Args:
            engine: the model file, as ``Engine`` takes it.
            cameras: the most cameras at a time. The next one is refused.
            idle_s: seconds since the answer to its last frame after which a camera may lose its place and its state to
                another camera.
            threads: CPU threads for all cameras; None takes all cores.
            at_once: cameras whose frames run at once; they share the threads.
            host: the address to listen at. Triton has no passwords, so only this machine's cameras by default.
            port: the port for gRPC; 0 takes a free one.
            http_port: the port for Triton's HTTP service; None leaves it off.
            metrics_port: the port for Triton's metrics; None leaves them off.
            name: the model's name on the server.
            start_s: longest time until the server is ready.

        Raises:
            ValueError: an option is out of range.
        """
        for what, count in (("cameras", cameras), ("at_once", at_once)):
            if count < 1:
                raise ValueError(f"{what} is {count}; expected at least 1")
        for what, number in (("port", port), ("http_port", http_port), ("metrics_port", metrics_port)):
            if number is not None and not 0 <= number < 2**16:
                raise ValueError(f"{what} is {number}; expected a number up to 65535")
        if not 0 < idle_s <= _LONGEST_IDLE_S:
            raise ValueError(f"idle_s is {idle_s}; expected seconds above 0, such as 10")
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}; expected at least 1, or None for all cores")
        if not name or any(sign in "/\0" for sign in name) or name.startswith("."):
            raise ValueError(f"name is {name!r}; expected a name that a folder can have")
        self.name = name
        self._engine = Path(engine)
        self._cameras = cameras
        self._idle_s = idle_s
        self._threads = threads
        self._at_once = at_once
        self._host = host
        self._wanted_port = port
        self._port = port
        self._more_ports = {"http": http_port, "metrics": metrics_port}
        self._start_s = start_s
        self._process: ServerProcess | None = None
        self._resources = ExitStack()

    @property
    def address(self) -> str:
        """``host:port`` of the gRPC service; the port is known once the server has started."""
        return f"{_bracketed(self._host)}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The number of the server's process; None if it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server, and wait until it takes frames. A server that runs stays as it is.

        Raises:
            BackendNotInstalledError: nvidia-pytriton, or something that it needs, is not installed.
            ModelFileError, NoGpuError, DeviceError: as ``Engine``.
            ServerError: the server does not start, or a port is taken.
        """
        if self._process is not None:
            return
        wheel = find_wheel()
        with Engine(self._engine, threads=1) as engine:
            metadata = engine.metadata
        with ExitStack() as stack:
            folder = stack.enter_context(staging_folder(Path(tempfile.gettempdir())))
            lock = folder / "lock"
            lock.mkdir()
            memory = f"mostnet-triton-{secrets.token_hex(8)}"
            write_repository(folder / "models", self.name, metadata, self._settings(memory, lock))
            link_backend(wheel, folder / "backends")
            for tries_left in reversed(range(_TRIES)):
                self._port = self._wanted_port or _free_port(self._host)
                self._check_ports()
                process = ServerProcess(wheel, self._options(folder), memory=memory, log=folder / "log")
                stack.callback(process.stop)
                try:
                    self._wait_until_ready(process)
                    break
                except ServerError as error:
                    taken = "in use" in str(error) and not self._wanted_port  # since it was found free
                    if not taken or not tries_left:
                        raise
            process.end_with_model(lock)
            self._process = process
            self._resources = stack.pop_all()

    def wait(self) -> None:
        """Wait until the server ends by itself.

        Raises:
            ServerError: it has ended.
        """
        assert self._process is not None, "wait comes after start"
        self._process.ended.wait()
        raise self._process.failure()

    def stop(self) -> None:
        """End the server, and remove its files. May be called twice; ``start`` may follow."""
        self._process = None
        self._resources.close()

    def __enter__(self) -> LocalServer:
        """Start the server, as ``start``."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _settings(self, memory: str, lock: Path) -> ServerSettings:
        return ServerSettings(
            engine=str(self._engine.absolute()),
            cameras=self._cameras,
            idle_s=self._idle_s,
            threads=max(1, (self._threads or default_threads()) // self._at_once),
            at_once=self._at_once,
            prefix=sys.prefix,
            memory=memory,
            lock=str(lock),
        )

    def _options(self, folder: Path) -> list[str]:
        http_host = f"ipv6:{self._host}" if ":" in self._host else self._host
        options = {
            "model-repository": folder / "models",
            "backend-directory": folder / "backends",
            "grpc-address": _bracketed(self._host),
            "grpc-port": self._port,
            "http-address": http_host,
            "metrics-address": http_host,
            "log-info": "false",
            "log-warning": "false",
        }
        for service, port in self._more_ports.items():
            options[f"allow-{service}"] = "false" if port is None else "true"
            if port is not None:
                options[f"{service}-port"] = port
        return ["--disable-auto-complete-config", *(f"--{name}={value}" for name, value in options.items())]

    def _check_ports(self) -> None:
        for port in (self._port, *self._more_ports.values()):
            if port is not None:
                _bind(self._host, port)

    def _wait_until_ready(self, process: ServerProcess) -> None:
        connection = Connection(self.address)
        deadline = time.monotonic() + self._start_s
        try:
            while not process.ended.wait(_POLL_S):
                if time.monotonic() > deadline:
                    raise ServerError(f"Triton's server was not ready within {self._start_s:g} s; give it more time")
                try:
                    question = connection.messages.ModelReadyRequest(name=self.name)
                    if connection.ask("ModelReady", question, _ASK_S).ready:
                        return
                except ServerUnavailableError:
                    continue
            raise process.failure()
        finally:
            connection.close()


def _bracketed(host: str) -> str:
    """An address of IPv6 in brackets, so that a port can follow."""
    return f"[{host}]" if ":" in host else host


def _free_port(host: str) -> int:
    return _bind(host, 0)


def _bind(host: str, port: int) -> int:
    """Listen at a port for a moment; returns its number, which the system chooses for 0.

    Raises:
        ServerError: the port is taken, or ``host`` is no address of this machine.
    """
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(1)
            return int(listener.getsockname()[1])
    except OSError as error:
        reason = error.strerror or error
        raise ServerError(
            f"cannot listen at {host}, port {port} ({reason}); give a free port of this machine"
        ) from error


def _parser() -> CommandParser:
    parser = CommandParser(
        prog=f"python -m {_NAME}",
        description="Serve an engine to cameras from this machine, through Triton's server. It needs no GPU.",
    )
    parser.add_argument("--engine", required=True, metavar="FILE", help="the model: a .onnx or .plan file")
    parser.add_argument(
        "--cameras", type=positive_int, default=8, metavar="N", help="most cameras at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--idle",
        type=positive_float,
        default=10.0,
        metavar="SECONDS",
        help="time without a frame after which a camera may lose its place to another (default: %(default)g)",
    )
    parser.add_argument("--threads", type=positive_int, metavar="T", help="CPU threads (default: all cores)")
    parser.add_argument(
        "--at-once",
        type=positive_int,
        default=1,
        metavar="N",
        help="cameras whose frames run at once and share the threads (default: %(default)s)",
    )
    parser.add_argument("--address", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument(
        "--port", type=positive_int, default=PORT, help="port for gRPC, which cameras use (default: %(default)s)"
    )
    parser.add_argument("--http-port", type=positive_int, metavar="PORT", help="port for HTTP (default: none)")
    parser.add_argument("--metrics-port", type=positive_int, metavar="PORT", help="port for metrics (default: none)")
    parser.add_argument("--name", default="mostnet", help="name of the model on the server (default: %(default)s)")
    return parser


@command(f"python -m {_NAME}", extra="triton-server", interrupted="stopped")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        server = LocalServer(
            args.engine,
            cameras=args.cameras,
            idle_s=args.idle,
            threads=args.threads,
            at_once=args.at_once,
            host=args.address,
            port=args.port,
            http_port=args.http_port,
            metrics_port=args.metrics_port,
            name=args.name,
        )
    except ValueError as error:
        parser.error(str(error))
    with server:
        places = counted(args.cameras, "camera")
        print(f"{args.name} takes frames of {places} at {server.address} until Ctrl-C", flush=True)
        server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
