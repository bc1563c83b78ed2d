"""Starting threads."""

import threading

import pytest

from mostnet.engine.threads import start_thread


def test_a_thread_runs_when_start_returns() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    start_thread(thread)
    assert thread.is_alive()
    go.set()
    thread.join()


def test_a_thread_that_does_not_start_is_an_error_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        start_thread(threading.Thread(target=print))
