"""Baselines that need no network. A method has to beat them."""

from __future__ import annotations

import numpy as np

from mostnet.contract import Frame
from mostnet.contract.metrics import Flow, Mask
from mostnet.engine import Output


def no_method(frame: Frame) -> Output:
    """The baseline of the talk that ``mostnet.model`` follows: the input frame, zero flow, every pixel a tooth."""
    height, width = frame.shape[:2]
    return _output(frame, np.zeros((2, height, width), np.float32), np.full((height, width), 255, np.uint8))


def oracle_colour(frame: Frame, reference: Frame) -> Output:
    """The frame with each channel mapped to its reference by the best affine function (least squares); no flow or mask.

    It uses the reference, so it is not a method. A network with a higher PSNR does more than a colour correction.
    """
    picture = np.empty_like(frame)
    for channel in range(frame.shape[2]):
        x, y = (values[..., channel].astype(np.float64) for values in (frame, reference))
        variance = float(np.var(x))
        gain = float(np.mean((x - x.mean()) * (y - y.mean()))) / variance if variance > 0 else 0.0
        picture[..., channel] = np.clip(np.rint(gain * (x - x.mean()) + y.mean()), 0, 255)
    return _output(picture, None, None)


def _output(picture: Frame, flow: Flow | None, mask: Mask | None) -> Output:
    return Output(enhanced=picture, flow=flow, mask=mask, finite=True, frame_id=0, timestamp=None, latency_ms=0.0)
