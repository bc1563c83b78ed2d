"""PyTorch keeps to the CPU limit of a container, and to fewer threads if these were asked for."""

from __future__ import annotations

import os

import pytest
import torch

from mostnet.contract import cores
from mostnet.model.threads import limit_torch_threads


@pytest.mark.parametrize(("before", "limit", "after"), [(4, 2, 2), (1, 2, 1), (3, 3, 3)])
def test_threads_are_lowered_and_never_raised(
    monkeypatch: pytest.MonkeyPatch, before: int, limit: int, after: int
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: limit)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    earlier = torch.get_num_threads()
    try:
        torch.set_num_threads(before)
        limit_torch_threads()
        assert torch.get_num_threads() == after
    finally:
        torch.set_num_threads(earlier)
    assert "OMP_NUM_THREADS" not in os.environ
