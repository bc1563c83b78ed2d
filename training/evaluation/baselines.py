"""The rows that need no network: what a method has to beat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mostnet.contract.metrics import Picture
from mostnet.engine import Output


def no_method(frame: Picture) -> Output:
    """The source's baseline: the input frame, no motion, and every pixel a tooth."""
    height, width = frame.shape[:2]
    return _output(frame, np.zeros((2, height, width), np.float32), np.full((height, width), 255, np.uint8))


def oracle_colour(frame: Picture, reference: Picture) -> Output:
    """The frame under the best affine map of each channel onto its own reference (least squares); a picture alone.

    It knows the answer, so it is no method; what a network gains beyond it is more than a colour correction.
    """
    picture = np.empty_like(frame)
    for channel in range(frame.shape[2]):
        x, y = (values[..., channel].astype(np.float64) for values in (frame, reference))
        variance = float(np.var(x))
        gain = float(np.mean((x - x.mean()) * (y - y.mean()))) / variance if variance > 0 else 0.0
        picture[..., channel] = np.clip(np.rint(gain * (x - x.mean()) + y.mean()), 0, 255)
    return _output(picture, None, None)


def _output(picture: Picture, flow: npt.NDArray[np.float32] | None, mask: npt.NDArray[np.uint8] | None) -> Output:
    return Output(enhanced=picture, flow=flow, mask=mask, finite=True, frame_id=0, timestamp=None, latency_ms=0.0)
