"""The report's end of the link to a worker, a process in another Python that answers requests in lines of JSON."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from time import monotonic
from typing import Any, Protocol

from mostnet.contract import MeasurementError
from mostnet.contract.stopping import parent_environment

_CLOSE_S = 5.0
_POLL_S = 0.2
_GRACE_S = 3.0
_SHOWN_LINES = 3


#: True once the report shall stop.
StopAsking = Callable[[], object]


class StopAsked(Exception):  # noqa: N818 - no error: the user asked for it
    """The report was asked to stop, and ended the process that it waited for."""


class Link(Protocol):
    """A connection to a worker."""

    def ask(self, do: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """Send a request and return its answer.

        Raises:
            MeasurementError: the action failed, or the worker ended or took longer than ``timeout_s``.
            StopAsked: the report shall stop.
        """

    @property
    def alive(self) -> bool:
        """Whether the worker runs."""

    def hang_up(self) -> None:
        """Ask the worker to end, without waiting for it."""

    def close(self) -> None:
        """End the worker. A second call does nothing."""


#: Starts a worker from the name of its part, its Python, the folder of the case, and the file for its log.
StartLink = Callable[[str, str, Path, Path], Link]


class ProcessLink:
    """A worker in a process of its own. The worker and its libraries print to ``log``.

    Signals to the report's process group do not reach the worker: the report decides when it ends. The worker ends with
    the report, also if that is killed.
    """

    def __init__(self, command: Sequence[str], log: Path, *, stop: StopAsking = lambda: False) -> None:
        """``stop`` is true once the report shall stop."""
        self._name = " ".join(command[-4:])
        self._log = log
        self._stop = stop
        self._log_file = log.open("a", encoding="utf-8")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            encoding="utf-8",
            start_new_session=True,
            env=parent_environment(),
        )
        self._lines: Queue[str | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, do: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """See ``Link``. A late worker is killed, because the next request would get its answer."""
        assert self._process.stdin is not None
        try:
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
            line = self._next_line(timeout_s)
        except BrokenPipeError:
            line = None
        except Empty:
            self._process.kill()
            raise MeasurementError(f"{self._name}: no answer to {do!r} within {timeout_s:.0f} s; killed") from None
        if line is None:
            raise MeasurementError(f"{self._name}: ended with status {self._process.wait()}; {end_of(self._log)}")
        answer = json.loads(line, parse_constant=partial(_refuse_constant, do))
        if "failed" in answer:
            raise MeasurementError(f"{do}: {answer['failed']}")
        done: dict[str, Any] = answer["done"]
        return done

    @property
    def alive(self) -> bool:
        """See ``Link``."""
        return self._process.poll() is None

    def hang_up(self) -> None:
        """See ``Link``."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the worker has ended already
            self._process.stdin.close()

    def close(self) -> None:
        """Let the worker end by itself; kill it if it does not."""
        self.hang_up()
        try:
            self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log_file.close()

    def _next_line(self, timeout_s: float) -> str | None:
        end_s = monotonic() + timeout_s
        while True:
            try:
                return self._lines.get(timeout=max(0.0, min(_POLL_S, end_s - monotonic())))
            except Empty:
                if self._stop():
                    self._process.kill()
                    raise StopAsked from None
                if monotonic() >= end_s:
                    raise

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)


def _refuse_constant(do: str, constant: str) -> float:
    """The report's file holds finite numbers alone, and a figure that is none would say nothing."""
    raise MeasurementError(f"{do}: the answer holds {constant}; expected finite numbers: the outputs may be wrong")


def run_module(
    python: str, arguments: Sequence[str], log: Path, *, limit_s: float, stop: StopAsking = lambda: False
) -> None:
    """Run ``python -m`` with ``arguments`` to its end; it prints to ``log``.

    Raises:
        MeasurementError: it failed, or took longer than ``limit_s`` and was killed.
        StopAsked: the report shall stop; the process was killed.
    """
    end_s = monotonic() + limit_s
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(
            [python, "-m", *arguments],
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=parent_environment(),
        )
        try:
            while process.poll() is None:
                if stop():
                    raise StopAsked
                if monotonic() >= end_s:
                    raise MeasurementError(f"{arguments[0]} took longer than {limit_s:.0f} s and was ended")
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
        finally:
            _end(process)
    if process.returncode != 0:
        raise MeasurementError(f"{arguments[0]} failed with status {process.returncode}: {end_of(log, lines=1)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a process that still runs remove its temporary files; kill it if that takes long."""
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_of(log: Path, *, lines: int = _SHOWN_LINES) -> str:
    """The last lines of a log, in one line."""
    found = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " | ".join(found[-lines:]) or "it printed nothing"


class WorkerPool:
    """The workers of one case at a time, because each holds memory of the GPU. They start when they are needed."""

    def __init__(self, start: StartLink, log: Path) -> None:
        self._start = start
        self._log = log
        self._folder = Path()
        self._links: dict[tuple[str, str], Link] = {}

    def has(self, folder: Path, part: str, alone: str = "") -> bool:
        """Whether the worker runs already."""
        link = self._links.get((part, alone)) if folder == self._folder else None
        return link is not None and link.alive

    def link(self, folder: Path, part: str, python: str, alone: str = "") -> Link:
        """The worker of ``part`` on the case in ``folder``; workers of other cases end.

        Args:
            alone: a method that has a worker of its own, which may hang or die without harm to the others.
        """
        if folder != self._folder:
            self.close()
            self._folder = folder
        key = part, alone
        if not self.has(folder, part, alone):
            self.drop(part, alone)
            self._links[key] = self._start(part, python, folder, self._log)
        return self._links[key]

    def drop(self, part: str, alone: str = "") -> None:
        """End a worker, so that the next use starts another."""
        link = self._links.pop((part, alone), None)
        if link is not None:
            link.close()

    def close(self) -> None:
        """End all workers. They end at the same time."""
        for link in self._links.values():
            link.hang_up()
        while self._links:
            _, link = self._links.popitem()
            link.close()
