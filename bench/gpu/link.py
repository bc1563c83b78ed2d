"""The report's end of the link to a worker, a process in another Python that answers requests in lines of JSON."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Protocol

from mostnet.contract import MeasurementError

_CLOSE_S = 10.0
_SHOWN_LINES = 3


class Link(Protocol):
    """A connection to a worker."""

    def ask(self, do: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """Send a request and return its answer.

        Raises:
            MeasurementError: the action failed, or the worker ended or took longer than ``timeout_s``.
        """

    def close(self) -> None:
        """End the worker. A second call does nothing."""


class ProcessLink:
    """A worker in a process of its own. The worker and its libraries print to ``log``."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._name = " ".join(command[-4:])
        self._log = log
        self._log_file = log.open("a", encoding="utf-8")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log_file, text=True
        )
        self._lines: Queue[str | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, do: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """See ``Link``. A late worker is killed, because its answer would be mistaken for the next request's."""
        assert self._process.stdin is not None
        try:
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
            line = self._lines.get(timeout=timeout_s)
        except BrokenPipeError:
            line = None
        except Empty:
            self._process.kill()
            raise MeasurementError(f"{self._name}: no answer to {do!r} within {timeout_s:.0f} s; killed") from None
        if line is None:
            raise MeasurementError(f"{self._name}: ended with status {self._process.wait()}; {self._end_of_log()}")
        answer = json.loads(line)
        if "failed" in answer:
            raise MeasurementError(f"{do}: {answer['failed']}")
        done: dict[str, Any] = answer["done"]
        return done

    def close(self) -> None:
        """Let the worker end by itself; kill it if it does not."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            with suppress(BrokenPipeError):  # the worker has ended already
                self._process.stdin.close()
            try:
                self._process.wait(_CLOSE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._log_file.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _end_of_log(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " | ".join(lines[-_SHOWN_LINES:]) or "it printed nothing"
