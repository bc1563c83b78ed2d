"""The process of Triton's server: where its files are, how it starts, and why it did not."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import sysconfig
import threading
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from mostnet.contract import BackendNotInstalledError, ServerError
from mostnet.contract.extras import install_command
from mostnet.contract.files import lock_folder
from mostnet.contract.terminal import one_line

from .repository import remove_memory, stub_path

#: Longest wait for the server's end, in seconds; afterwards it is killed.
_KILL_S = 5.0

#: Triton ends its model before itself. A model that ended so much earlier did so by itself.
_LONE_S = 1.0

#: Starts a program that the kernel sends SIGTERM when its parent's thread ends. The parent may have ended before.
_TIED = """\
import ctypes, os, signal, sys
ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that starts the server has ended")
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_wheel() -> Path:
    """The folder of Triton's server in the installed ``nvidia-pytriton``.

    Raises:
        BackendNotInstalledError: it is not installed, or has no server for this system and Python.
    """
    spec = find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise BackendNotInstalledError(f"nvidia-pytriton is not installed; {install_command('triton-server')}")
    wheel = Path(spec.origin).parent / "tritonserver"
    if not (wheel / "bin" / "tritonserver").is_file() or not stub_path(wheel).is_file():
        python = f"{sys.platform} with Python {sys.version_info[0]}.{sys.version_info[1]}"
        raise BackendNotInstalledError(
            f"nvidia-pytriton {version('nvidia-pytriton')} has no Triton server for {python}; it has one for Linux on "
            "x86-64"
        )
    return wheel


def server_environment() -> dict[str, str]:
    """The environment in which Triton's Python backend runs this Python.

    Triton's program for Python embeds the library of Python that the system's loader finds, and the environment of the
    ``python3`` that ``PATH`` finds.

    Raises:
        BackendNotInstalledError: this Python cannot be embedded, or its NumPy is too new.
    """
    folder, library = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    if not str(library).startswith("libpython") or ".so" not in str(library) or not (Path(folder) / library).exists():
        raise BackendNotInstalledError(
            f"Triton's server needs Python as a shared library, and {sys.executable} has none; use a Python that was "
            "built with --enable-shared"
        )
    if int(version("numpy").partition(".")[0]) > 1:
        raise BackendNotInstalledError(
            f"NumPy {version('numpy')} is installed, and Triton's Python backend sends empty tensors with it; "
            "pip install 'numpy<2'"
        )
    before = os.environ.get("LD_LIBRARY_PATH")
    return {
        **os.environ,
        "LD_LIBRARY_PATH": f"{folder}{os.pathsep}{before}" if before else folder,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


class ServerProcess:
    """A Triton server that ends with the process that started it, also if that one is killed."""

    def __init__(self, wheel: Path, options: list[str], *, memory: str, log: Path) -> None:
        """Start it with ``options``; it writes to ``log``. The names of its shared memory begin with ``memory``.

        Raises:
            BackendNotInstalledError: as ``server_environment``.
            OSError: it cannot be started.
        """
        program = wheel / "bin" / "tritonserver"
        command = [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), str(program)]
        # Triton would wait for every camera that has not closed.
        shared = f"--backend-config=python,shm-region-prefix-name={memory}"
        self._command = [*command, "--exit-timeout-secs=0", shared, *options]
        self._memory = memory
        self._environment = server_environment()
        self._log = log
        self._problem: str | None = None
        self.ended = threading.Event()
        started: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()
        # The server is tied to the thread that starts it, so that thread lives as long.
        threading.Thread(target=self._hold, args=(started,), name="mostnet-triton", daemon=True).start()
        process = started.get()
        if isinstance(process, OSError):
            raise process
        self._process = process

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def stop(self) -> None:
        """End the server, wait for it, and kill the process of its model. May be called twice."""
        if not self.ended.is_set():
            self._process.terminate()
            if not self.ended.wait(_KILL_S):
                self._process.kill()
                self.ended.wait()

    def end_with_model(self, lock: Path) -> None:
        """Kill the server as soon as nobody locks the folder ``lock``: the process of its model has ended.

        Triton itself would go on, and answer each frame with an error.
        """
        threading.Thread(target=self._watch_model, args=(lock,), name="mostnet-triton-model", daemon=True).start()

    def failure(self) -> ServerError:
        """An error with the reason: the end of its model, or else what the log gives."""
        log = self._log.read_text(encoding="utf-8", errors="replace")
        problem = self._problem or one_line(reason(log, self._process.returncode))
        return ServerError(f"Triton's server does not run: {problem}")

    def _watch_model(self, lock: Path) -> None:
        with suppress(OSError):  # the server was stopped, and its folders are gone
            descriptor = lock_folder(lock, wait=True)
            if descriptor is None:  # a file system without locks
                return
            os.close(descriptor)
            if not self.ended.wait(_LONE_S):
                self._problem = "the model's process ended"
                self._process.kill()

    def _hold(self, started: queue.SimpleQueue[subprocess.Popen[bytes] | OSError]) -> None:
        try:
            with self._log.open("wb") as log:
                process = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for the process that started it
                )
        except OSError as error:
            started.put(error)
            return
        started.put(process)
        process.wait()
        with suppress(ProcessLookupError):  # the process of the model may be left, in the group of the server
            os.killpg(process.pid, signal.SIGKILL)
        remove_memory(self._memory)
        self.ended.set()


def reason(log: str, status: int | None = None) -> str:
    """The first error in a log of Triton, as one line; else its last line, or how the process ended.

    Args:
        status: exit status of the process, or minus the signal that ended it; None if it has not ended.
    """
    # Without a GPU, Triton always complains of CUDA.
    lines = [line.strip() for line in log.splitlines() if line.strip() and "CudaDriverHelper" not in line]
    errors = [line for line in lines if re.match(r"E\d{4} ", line)]
    if errors:
        text = re.sub(r"^E\d{4} \S+ \d+ \S+ ", "", errors[0]).strip('"')
        return re.sub(r"^failed to load '.*?' version \d+: (Internal: )?", "", text)
    if status is not None and status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return lines[-1] if lines else f"it wrote nothing, and its exit status is {status}"
