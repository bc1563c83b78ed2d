"""A forked process can use no engine of its parent, and does it no harm."""

import gc
import os
import signal
import traceback
from collections.abc import Callable

import pytest

from mostnet.bench.gpu.standin.toy import frame_of, history
from mostnet.contract import EngineClosedError
from tests.engine.backends import Backend

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]
FRAMES = [frame_of(number) for number in range(10)]


def in_child(work: Callable[[], object]) -> None:
    """Do ``work`` in a forked process, which has ten seconds for it."""
    gc.collect()  # what other tests left is not the child's to destroy
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # not the handler of pytest-timeout
        signal.alarm(10)
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_child_is_refused_and_the_parent_goes_on(backend: Backend) -> None:
    with backend.open() as engine:
        running = engine.stream(FRAMES)
        next(running)

        def use() -> None:
            for call in (lambda: engine.infer(FRAMES[0]), lambda: next(running), engine.reset, engine.input_buffer):
                with pytest.raises(EngineClosedError, match="forked from it"):
                    call()
            engine.close()
            running.close()

        in_child(use)
        assert history(next(running).mask) == [0, 1]


@pytest.mark.parametrize("close", [True, False], ids=["closed", "dropped"])
def test_a_child_destroys_nothing_and_ends(backend: Backend, close: bool) -> None:
    engines = [backend.open(threads=2)]
    engines[0].infer(FRAMES[1])

    def leave() -> None:
        if close:
            engines[0].close()
        engines.clear()
        gc.collect()
        backend.check()

    in_child(leave)
    assert history(engines[0].infer(FRAMES[2]).mask) == [1, 2]
    engines.pop().close()
