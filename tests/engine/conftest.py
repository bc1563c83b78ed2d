"""Every engine test leaves the threads as it found them."""

import threading
import time
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _threads_back() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.perf_counter() + 2
    while (left := set(threading.enumerate()) - before) and time.perf_counter() < deadline:
        time.sleep(0.005)
    assert not left
