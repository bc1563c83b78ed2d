"""Every engine test leaves the threads as it found them; those of the suite run on every backend."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .backends import BACKENDS, Backend
from .plan_setup import Machine, machine_of


def _threads() -> set[threading.Thread]:
    """Threads that Python code started. The test runner has others, which show up at any time as dummies."""
    return {thread for thread in threading.enumerate() if not isinstance(thread, threading._DummyThread)}


@pytest.fixture(autouse=True)
def _threads_back() -> Iterator[None]:
    before = _threads()
    yield
    deadline = time.perf_counter() + 2
    while (left := _threads() - before) and time.perf_counter() < deadline:
        time.sleep(0.005)
    assert not left


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Backend]:
    made = BACKENDS[request.param](monkeypatch, tmp_path)
    yield made
    made.check_closed()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(monkeypatch, tmp_path) as made:
        yield made
