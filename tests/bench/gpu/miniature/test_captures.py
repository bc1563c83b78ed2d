"""Which calls the captures of the miniature GPU forbid, by the modes of capture and caller, as CUDA's manual says."""

from __future__ import annotations

import threading

import pytest

from mostnet.bench.gpu.miniature.captures import GLOBAL, RELAXED, THREAD_LOCAL, Capture, CaptureModes

MODES = (GLOBAL, THREAD_LOCAL, RELAXED)

#: The modes of capture and caller whose unsafe calls fail, in the thread that captures and in another.
OWN = {(capture, caller) for capture in (GLOBAL, THREAD_LOCAL) for caller in (GLOBAL, THREAD_LOCAL)}
OTHER = {(GLOBAL, GLOBAL)}


@pytest.mark.parametrize("caller", MODES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("own", [True, False])
def test_unsafe_calls(mode: int, caller: int, *, own: bool) -> None:
    captures = CaptureModes()
    begun: list[Capture] = []
    thread = threading.Thread(target=lambda: begun.append(captures.begin(mode)))
    if own:
        thread.run()
    else:
        thread.start()
        thread.join()
    captures.exchange(caller)
    forbidden = (mode, caller) in (OWN if own else OTHER)
    assert not captures.forbid("cuMemcpyHtoDAsync")
    assert not begun[0].broken
    assert captures.forbid("cuEventQuery") == forbidden
    assert begun[0].broken == forbidden
    captures.end(begun[0])
    assert not captures.forbid("cuEventQuery")
