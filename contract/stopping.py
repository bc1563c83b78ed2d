"""Stop on SIGINT, SIGTERM or SIGHUP: after the current step, or at once but in order; and end with the parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]

#: Signals that ask for an end. Windows has no SIGHUP; a terminal that closes sends it.
_STOPS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
#: Environment variable with the process id of the process that started this one.
_PARENT = "MOSTNET_PARENT"
_POLL_S = 1.0


class StopRequest:
    """True once SIGINT, SIGTERM or SIGHUP has arrived; a loop tests it between two steps.

    A ``KeyboardInterrupt`` could strike in the middle of a step, for instance between encoding a frame and writing it.
    The second signal goes to the handlers from before the block. A SIGHUP that ``nohup`` ignores stays ignored. Only
    the main thread may set handlers, so a request in another thread notes no signal.

    Attributes:
        signal: the first signal; None before it.
    """

    def __init__(self, *, second: Handler | None = None) -> None:
        """``second`` replaces the handlers from before the block for all signals after the first one."""
        self.signal: signal.Signals | None = None
        self._second = second
        self._before: dict[signal.Signals, Handler | int | None] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> StopRequest:
        self._before = _set_handlers(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        _put_back(self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        for other, handler in self._before.items():
            signal.signal(other, self._second or handler)


class SignalInterrupt(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP arrived.

    Attributes:
        number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = signal.Signals(number)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Raise ``SignalInterrupt`` in the block on the first SIGINT, SIGTERM or SIGHUP, so that temporary files go.

    While the block cleans up, further SIGTERM and SIGHUP are ignored; a second SIGINT acts as before. A SIGHUP that
    ``nohup`` ignores stays ignored. Only the main thread may set handlers: in another thread, signals act as before.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for other in before:
            signal.signal(other, before[other] if other == signal.SIGINT else signal.SIG_IGN)
        raise SignalInterrupt(number)

    before = _set_handlers(interrupt)
    try:
        yield
    finally:
        _put_back(before)


def exit_status(stop: KeyboardInterrupt) -> int:
    """Exit status of a process that a signal ended: 128 and the signal's number."""
    return 128 + (stop.number if isinstance(stop, SignalInterrupt) else signal.SIGINT)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Let signals that ask for an end wait until the block ends. Worker processes that start in it inherit the wait."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_stopping_to_the_parent(worker: int = 0) -> None:
    """In a worker process: let the parent decide when it ends, because it waits for a result; end when the parent ends.

    Ctrl-C reaches every process of a terminal, and ``timeout`` sends SIGTERM to the whole process group.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    end_with_parent()


def parent_environment() -> dict[str, str]:
    """The environment for a process that calls ``end_with_parent``."""
    return {**os.environ, _PARENT: str(os.getpid())}


def end_with_parent() -> None:
    """End this process as soon as its parent has ended, also if the parent was killed.

    This serves workers of ``multiprocessing``, and processes that were started with ``parent_environment``. In other
    processes it does nothing.
    """
    worker, parent = multiprocessing.parent_process(), os.environ.pop(_PARENT, "")
    if worker is not None:
        _watch(worker.join)
    elif parent.isdecimal():
        _watch(lambda: _wait_for_end_of(int(parent)))


def _watch(wait: Callable[[], object]) -> None:
    def end() -> None:
        wait()
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=end, name="mostnet-parent", daemon=True).start()


def _wait_for_end_of(parent: int) -> None:
    while os.getppid() == parent:  # a process whose parent ended gets another one
        time.sleep(_POLL_S)


def _set_handlers(handler: Handler) -> dict[signal.Signals, Handler | int | None]:
    """Set a handler; returns the earlier ones."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = [number for number in _STOPS if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in numbers}


def _put_back(handlers: dict[signal.Signals, Handler | int | None]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
