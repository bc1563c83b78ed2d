"""Waits of a thread for the GPU: in C without a limit, and by sleeping and asking with one.

Asking takes the interpreter from other threads, above all from the one that reads frames. A call that blocks in C
leaves it to them, but has no limit, and Python runs a signal handler only after it: Ctrl-C then takes effect when the
work is done.

A call fails while the calling thread itself captures a CUDA graph. Both kinds of wait then ask again after a pause.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from math import inf
from select import select
from time import perf_counter, sleep

from .device import CudaDevice

_LOG = logging.getLogger(__name__)

#: A wait with a limit sleeps until this long before the expected end: sleeps end up to 0.1 ms late.
_MARGIN_S = 2e-4
#: It looks after each step, so that work that has become faster is found at most this late.
_STEP_S = 1e-3
#: From the expected end on it asks without pause for this long, since latency matters more than a core; then it naps.
_SPIN_S = 2e-3
_NAP_S = 5e-5

#: Time between two calls that fail because of a capture.
_CAPTURE_PAUSE_S = 1e-3


def is_reached(device: CudaDevice, query: Callable[[], object]) -> bool:
    """What ``query`` of pycuda says; false if it fails because of a capture."""
    try:
        return bool(query())
    except device.driver.Error as error:
        if not device.is_capturing(error):
            raise
    return False


def wait_in_c(device: CudaDevice, synchronize: Callable[[], object]) -> None:
    """Call ``synchronize`` of pycuda, which gives the interpreter to other threads until it returns."""
    told = False
    while True:
        try:
            synchronize()
            return
        except device.driver.Error as error:
            if not device.is_capturing(error):
                raise
            if not told:
                # The text alone: a log that kept the error would keep the event.
                _LOG.warning("the engine waits until the capture of a CUDA graph is over: %s", str(error))
                told = True
        sleep(_CAPTURE_PAUSE_S)


def poll(reached: Callable[[], bool], timeout_ms: float | None, expected_s: float = -inf) -> bool:
    """Call ``reached`` until it is true; false if ``timeout_ms`` passes first.

    ``expected_s`` is when it should become true, on the clock of ``time.perf_counter``; by default at once.
    """
    begun_s = perf_counter()
    deadline_s = inf if timeout_ms is None else begun_s + timeout_ms / 1e3
    expected_s = max(begun_s, expected_s)
    while not reached():
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
