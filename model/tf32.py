"""PyTorch's switches for TF32, which rounds float32 operands to 10 bits of mantissa on NVIDIA GPUs since Ampere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def tf32(enabled: bool) -> Iterator[None]:
    """Allow or forbid TF32 in matrix products and convolutions, for all threads; afterwards the switches are as before.

    By default, PyTorch allows TF32 in convolutions.
    """
    holders, name = _switches()
    values = ("ieee", "tf32") if name == "fp32_precision" else (False, True)
    before = [getattr(holder, name) for holder in holders]
    try:
        for holder in holders:
            setattr(holder, name, values[enabled])
        yield
    finally:
        for holder, value in zip(holders, before, strict=True):
            setattr(holder, name, value)


def _switches() -> tuple[tuple[Any, Any], str]:
    """The holders of the two switches and the name there. PyTorch 2.9 has new names, and may refuse to read the old."""
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    if hasattr(matmul, "fp32_precision"):
        return (matmul, cudnn.conv), "fp32_precision"
    return (matmul, cudnn), "allow_tf32"
