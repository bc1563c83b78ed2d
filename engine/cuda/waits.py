"""Waits of a thread for the GPU: in C without a limit, and by sleeping and asking with one.

Asking takes the interpreter from other threads, above all from the one that reads frames. A call that blocks in C
leaves it to them, but has no limit, and Python runs a signal handler only after it: Ctrl-C then takes effect when the
work is done. That call spins, so each waiting session keeps a processor core busy: an event that sleeps (BLOCKING_SYNC)
would wake up tens of microseconds late.

A call fails if it concerns a stream or an event of a CUDA graph that is being captured. Both kinds of wait then ask
again, for a second.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import inf
from select import select
from time import perf_counter, sleep

from mostnet.contract import DeviceError

from .device import CudaDevice

#: A wait with a limit sleeps until this long before the expected end: sleeps end up to 0.1 ms late.
_MARGIN_S = 2e-4
#: It looks after each step, so that work that has become faster is found at most this late.
_STEP_S = 1e-3
#: From the expected end on it asks without pause for this long, since latency matters more than a core; then it naps.
_SPIN_S = 2e-3
_NAP_S = 5e-5

#: Time between two calls that fail because of a capture, and how long a wait puts up with them.
_CAPTURE_PAUSE_S = 1e-3
_PATIENCE_S = 1.0


class Question:
    """Asks the driver about one wait, again and again."""

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._refused_s: float | None = None

    def ask(self, call: Callable[[], object]) -> bool:
        """Whether a query of pycuda is true, or a call that blocks has returned; false if a capture makes it fail.

        Raises:
            DeviceError: for a second it has failed because of a capture.
        """
        try:
            reached = call() is not False
        except self._device.driver.Error as error:
            if not self._device.is_capturing(error):
                raise
            refusal = str(error)  # the error itself would keep the event
        else:
            self._refused_s = None
            return reached
        now_s = perf_counter()
        if self._refused_s is None:
            self._refused_s = now_s
        if now_s - self._refused_s > _PATIENCE_S:
            raise DeviceError(
                f"a CUDA graph is being captured in this thread or of a stream that the engine waits for: {refusal}; "
                "end the capture before the engine is called, and hand in no frame that captured work writes"
            )
        return False


def wait_in_c(device: CudaDevice, synchronize: Callable[[], object]) -> None:
    """Call ``synchronize`` of pycuda, which gives the interpreter to other threads until it returns.

    Raises:
        DeviceError: as ``Question.ask``.
    """
    question = Question(device)
    while not question.ask(synchronize):
        sleep(_CAPTURE_PAUSE_S)


def poll(device: CudaDevice, query: Callable[[], object], timeout_ms: float | None, expected_s: float = -inf) -> bool:
    """Call ``query`` of pycuda until it is true; false if ``timeout_ms`` passes first.

    ``expected_s`` is when it should become true, on the clock of ``time.perf_counter``; by default at once.

    Raises:
        DeviceError: as ``Question.ask``.
    """
    begun_s = perf_counter()
    deadline_s = inf if timeout_ms is None else begun_s + timeout_ms / 1e3
    expected_s = max(begun_s, expected_s)
    question = Question(device)
    while not question.ask(query):
        now_s = perf_counter()
        if now_s >= deadline_s:
            return False
        early_s = expected_s - _MARGIN_S - now_s
        if early_s > 0:
            sleep(min(early_s, _STEP_S, deadline_s - now_s))
        elif now_s < expected_s + _SPIN_S:
            _let_others_run()
        else:
            sleep(min(_NAP_S, deadline_s - now_s))
    return True


def _let_others_run() -> None:
    if sys.platform == "win32":
        sleep(0)
    else:
        select((), (), (), 0)  # releases the interpreter for a microsecond; on Linux sleep(0) takes about 60
