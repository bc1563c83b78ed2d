"""Baselines that need no network. A method has to beat them."""

from __future__ import annotations

import cv2
import numpy as np

from mostnet.contract import Frame
from mostnet.contract.metrics import Flow, Mask, check_pictures
from mostnet.engine import Output

_LEVELS = np.arange(256)


def no_method(frame: Frame) -> Output:
    """The baseline of the talk that ``mostnet.model`` follows: the input frame, zero flow, every pixel a tooth."""
    height, width = frame.shape[:2]
    return _output(frame, np.zeros((2, height, width), np.float32), np.full((height, width), 255, np.uint8))


def oracle_colour(frame: Frame, reference: Frame) -> Output:
    """The frame in its best colours, see ``best_colours``; no flow or mask.

    It uses the reference, so it is not a method. A network with a higher PSNR does more than a colour correction.

    Raises:
        FrameError: not two uint8 pictures of one size.
    """
    return _output(best_colours(frame, reference), None, None)


def dis_flow(frame: Frame, previous: Frame) -> Output:
    """Backward flow by OpenCV's DIS, preset medium, between grey frames ``(H, W, 3)``; no picture or mask.

    T. Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016.
    """
    grey, grey_before = (cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (frame, previous))
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = dis.calc(grey, grey_before, None)
    return _output(None, np.ascontiguousarray(np.moveaxis(flow, -1, 0)), None)


def best_colours(picture: Frame, reference: Frame) -> Frame:
    """The picture with each channel mapped to its reference by the best affine function (least squares).

    Both are uint8 ``(H, W, 3)``. The result is clipped and rounded to uint8, so that equal pictures stay equal.

    Raises:
        FrameError: not two uint8 pictures of one size.
    """
    check_pictures(picture, reference)
    best = np.empty_like(picture)
    for channel in range(picture.shape[2]):
        x, y = (values[..., channel].astype(np.float64).ravel() for values in (picture, reference))
        mean, wanted = x.mean(), y.mean()
        offset = x - mean
        variance = offset @ offset
        gain = offset @ (y - wanted) / variance if variance > 0 else 0.0
        levels = np.clip(np.rint(gain * (_LEVELS - mean) + wanted), 0, 255).astype(np.uint8)
        best[..., channel] = levels[picture[..., channel]]
    return best


def _output(picture: Frame | None, flow: Flow | None, mask: Mask | None) -> Output:
    return Output(enhanced=picture, flow=flow, mask=mask, finite=True, frame_id=0, timestamp=None, latency_ms=0.0)
