"""Every N-th frame of a clip, with flow labels that reach from each to the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from mostnet.contract.metrics import Flow, Valid

from .dataset import LabelledFrame

#: A joined vector is known if at least this share of the vectors it is interpolated from, by weight, is known.
_KNOWN = 0.999


def every_nth(frames: Sequence[LabelledFrame], step: int) -> list[LabelledFrame]:
    """Frames 0, ``step``, 2 ``step`` and so on. The flow of each is joined from those of the frames it passes over."""
    if step == 1:
        return list(frames)
    kept = [frames[0]]
    for last in range(step, len(frames), step):
        frame = frames[last]
        flow, valid = frame.flow, frame.valid
        if flow is not None and valid is not None:
            for between in frames[last - 1 : last - step : -1]:
                assert between.flow is not None and between.valid is not None
                flow, valid = joined_flow(flow, valid, between.flow, between.valid)
        kept.append(replace(frame, flow=flow, valid=valid, motion=None))
    return kept


def joined_flow(flow: Flow, valid: Valid, before: Flow, valid_before: Valid) -> tuple[Flow, Valid]:
    """Backward flow over two steps, from that of the later frame and that of the frame before it.

    A pixel's place in the frame before leads on to its place one frame earlier, by bilinear interpolation. It is known
    where both vectors are.

    Args:
        flow, before: ``(2, H, W)`` in pixels.
        valid, valid_before: bool ``(H, W)``.
    """
    height, width = valid.shape
    x = np.arange(width, dtype=np.float32) + flow[0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[1]
    source = np.dstack([*before.astype(np.float32), valid_before.astype(np.float32)])
    moved = cv2.remap(source, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderValue=(0, 0, 0))
    known = valid & (moved[..., 2] >= _KNOWN)
    joined = (flow + moved[..., :2].transpose(2, 0, 1)) * known
    return joined.astype(np.float32), known
