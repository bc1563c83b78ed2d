"""The methods that find flow labels: RAFT with given weights, and OpenCV's DIS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from mostnet.contract import Frame, sha256
from mostnet.contract.metrics import Flow, Valid
from mostnet.training.evaluation.baselines import dis_flow

#: Flow ``(2, H, W)`` in pixels from each pixel of the first picture to its place in the second.
FlowMethod: TypeAlias = Callable[[Frame, Frame], Flow]

#: A flow is sound if forward and backward flow differ by less than this share of their lengths, plus this many square
#: pixels (N. Sundaram et al., ECCV 2010).
_SHARE, _FLOOR_PX2 = 0.01, 0.5


@dataclass(frozen=True)
class LabelMethod:
    """A method, and the facts that are written beside its labels.

    Attributes:
        name: ``raft`` or ``dis``.
        find: the method.
        weights_sha256: digest of the weights; None for DIS.
    """

    name: str
    find: FlowMethod
    weights_sha256: str | None = None


def dis_method() -> LabelMethod:
    """DIS, which needs no weights."""

    def find(first: Frame, second: Frame) -> Flow:
        flow = dis_flow(first, second).flow
        assert flow is not None
        return flow

    return LabelMethod("dis", find)


def raft_method(weights: Path, *, device: str = "auto", threads: int | None = None) -> LabelMethod:
    """RAFT with weights of torchvision, or of a checkpoint that ``mostnet-train --network raft`` wrote.

    Args:
        device: ``cpu``, ``cuda``, or ``auto``: CUDA if there is a GPU.
        threads: CPU threads; None for as many as cores are free.

    Raises:
        BackendNotInstalledError: torchvision is not installed.
        CheckpointError: the weights cannot be used.
        NoGpuError: CUDA was requested, but there is no GPU.
    """
    from .raft_flow import RaftFlow  # only RAFT needs PyTorch

    return LabelMethod("raft", RaftFlow(weights, device=device, threads=threads), sha256(weights))


def checked_flow(method: FlowMethod, frame: Frame, previous: Frame) -> tuple[Flow, Valid]:
    """Backward flow ``(2, H, W)`` of ``frame``, and where the forward flow confirms it, bool ``(H, W)``.

    A pixel whose place lies outside the previous frame is not confirmed.
    """
    backward, forward = method(frame, previous), method(previous, frame)
    height, width = backward.shape[1:]
    x = np.arange(width, dtype=np.float32) + backward[0]
    y = np.arange(height, dtype=np.float32)[:, None] + backward[1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    back = cv2.remap(
        np.dstack([*forward]).astype(np.float32),
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).transpose(2, 0, 1)
    off = ((backward + back) ** 2).sum(axis=0)
    lengths = (backward**2).sum(axis=0) + (back**2).sum(axis=0)
    return backward, inside & (off < _SHARE * lengths + _FLOOR_PX2)
