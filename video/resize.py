"""Resize pictures, masks and flow."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

SizeHw = tuple[int, int]


def resize_picture(picture: npt.NDArray[np.uint8], size_hw: SizeHw) -> npt.NDArray[np.uint8]:
    """Resize uint8 ``(H, W)`` or ``(H, W, 3)``; the same array if it already fits."""
    if picture.shape[:2] == size_hw:
        return picture
    shrinks = size_hw[0] <= picture.shape[0] and size_hw[1] <= picture.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    resized: npt.NDArray[np.uint8] = cv2.resize(picture, size_hw[::-1], interpolation=interpolation)
    return resized


def resize_flow(flow: npt.NDArray[np.float32], size_hw: SizeHw) -> npt.NDArray[np.float32]:
    """Resize flow, float32 ``(2, H, W)``, and scale its vectors to pixels of the new size."""
    height, width = flow.shape[1:]
    if (height, width) == size_hw:
        return flow
    scales = (size_hw[1] / width, size_hw[0] / height)
    channels = [cv2.resize(part, size_hw[::-1]) * np.float32(scale) for part, scale in zip(flow, scales, strict=True)]
    return np.stack(channels)
