"""Conditions that all tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

import mostnet  # noqa: F401  # before a test imports ONNX Runtime, which would report to its maker


@pytest.fixture(autouse=True, scope="session")
def _interrupts_are_heard() -> Iterator[None]:
    """SIGINT raises ``KeyboardInterrupt``, also where a shell started the tests in the background and ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def hang_ups_are_heard() -> Iterator[None]:
    """SIGHUP ends a process, also where ``nohup`` started the tests and ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
