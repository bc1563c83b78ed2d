from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from mostnet.training.photos import sheets


@pytest.fixture(autouse=True)
def few_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw four instruments, outlines and pictures without a mouth, to save time."""
    monkeypatch.setattr(sheets, "_BANK", 4)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread per process: the threads of several busy processes wait for each other."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)
