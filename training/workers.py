"""Processes that read clips: how they start, and what is said when one of them fails."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any

from torch.utils.data import DataLoader

from mostnet.contract import MostnetError, TrainingError
from mostnet.contract.stopping import leave_stopping_to_the_parent
from mostnet.training.data.clips import Batch

#: What reading from a process that has just ended raises.
_ENDED = (EOFError, ConnectionError)

_ADVICE = "lower --workers (0 starts none) or --batch{}; a run that was saved goes on with --resume"
_NO_SHARED_MEMORY = "no shared memory is left for --workers in /dev/shm; " + _ADVICE.format(
    ", or enlarge /dev/shm (docker run --shm-size=1g)"
)
_DIED = "one of --workers died, often for lack of memory; " + _ADVICE.format("")
_NO_FILES = "--workers need more open files than this system allows; " + _ADVICE.format(", or raise ulimit -n")
#: What PyTorch says when a worker fails, and what it means. Linux ends a process with a bus error when it writes to
#: shared memory that does not fit.
_FAILURES = {
    "bus error": _NO_SHARED_MEMORY,
    "shared memory": _NO_SHARED_MEMORY,
    "too many open files": _NO_FILES,
    "ancdata": _NO_FILES,
    "cannot allocate memory": "no memory is left to start --workers; " + _ADVICE.format(""),
    "dataloader worker (pid": _DIED,
}


class WorkersError(TrainingError):
    """A process that reads clips died, or lacks shared memory."""


def loader(source: Any, *, workers: int, **options: Any) -> Generator[Batch, None, None]:
    """The batches of a ``DataLoader`` with its ``options``. Its workers end with this process.

    Raises:
        WorkersError: a worker died, or lacks shared memory or open files.
        MostnetError: an error of ours in a worker, without the traceback that PyTorch adds to its text.
    """
    begin = partial(_begin, collects=gc.isenabled())
    batches = DataLoader(source, num_workers=workers, worker_init_fn=begin, **options)
    if not workers:
        yield from batches
        return
    with _collector_paused():
        iterator = iter(batches)
    try:
        while True:
            batch, failure = _next(iterator)
            if failure is not None:
                raise failure
            if batch is None:
                return
            yield batch
    finally:
        # A first error's traceback holds itself and the other workers. Python would end them at its own exit, which
        # PyTorch takes for one more failure.
        with _deaths_ignored():
            del iterator
            gc.collect()


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Collect no garbage in the block. Processes that are forked in it begin so, too."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def _deaths_ignored() -> Iterator[None]:
    """Let the death of a worker raise nothing. PyTorch raises it wherever the main thread is, a destructor included."""
    if (
        not hasattr(signal, "SIGCHLD")
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGCHLD) is None  # Python could not put it back, as at its own exit
    ):
        yield
        return
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def _begin(worker: int, *, collects: bool) -> None:
    """Settings of a process that reads clips; ``collects`` is whether it collects garbage."""
    # Never what the training process left: the destructor of an ONNX Runtime session crashes here, or waits for threads
    # that only the training process has.
    gc.freeze()
    (gc.enable if collects else gc.disable)()
    leave_stopping_to_the_parent(worker)
    sys.excepthook = _report


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error of a thread, unless the training process ended while the thread handed memory over to it."""
    if not issubclass(kind, _ENDED):
        sys.__excepthook__(kind, error, trace)


@contextmanager
def failures_of_workers() -> Iterator[None]:
    """Say in one line what a failure of a worker means, which PyTorch also raises in the middle of other work.

    Raises:
        WorkersError: a worker died, or lacks shared memory or open files.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        failure = _meaning(error)
        if failure is error:
            raise
        raise failure from error


def _next(batches: Iterator[Batch]) -> tuple[Batch | None, Exception | None]:
    """The next batch, or a failure. The failure has no traceback, which would hold the workers."""
    try:
        return next(batches, None), None
    except Exception as error:
        error.with_traceback(None)
        return None, WorkersError(_DIED) if isinstance(error, _ENDED) else _meaning(error)


def _meaning(error: Exception) -> Exception:
    text = str(error).strip()
    if isinstance(error, MostnetError):
        if "\n" not in text:
            return error
        last = text.splitlines()[-1]
        return type(error)(last.partition(f"{type(error).__name__}: ")[2] or last)
    meaning = next((meaning for said, meaning in _FAILURES.items() if said in text.lower()), None)
    return error if meaning is None else WorkersError(meaning)
