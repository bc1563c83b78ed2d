"""Optical flow as colours on a wheel.

S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 92 (2011). The hue is the direction and
the saturation the length; no motion is white.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame

#: Steps from red to yellow, green, cyan, blue, magenta and back, chosen by the paper for even perceived change.
_SEGMENTS = (15, 6, 4, 11, 13, 6)
_CORNERS_RGB = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255))
_BRIGHTNESS_BEYOND_MAX = 0.75

_ANGLES = 1024
_LENGTHS = 255
_ROW = _LENGTHS + 2


def _make_wheel() -> npt.NDArray[np.float64]:
    """BGR of each step around the wheel, 0 to 1, ``(55, 3)``."""
    steps = []
    for k, count in enumerate(_SEGMENTS):
        start, end = np.array(_CORNERS_RGB[k]), np.array(_CORNERS_RGB[(k + 1) % len(_SEGMENTS)])
        part = np.arange(count)[:, None] / count
        steps.append(start + part * (end - start))
    return np.concatenate(steps)[:, ::-1] / 255


@lru_cache(maxsize=1)
def _table() -> Frame:
    """Colour by direction and length, uint8 ``(_ANGLES * _ROW, 3)``; a row ends with the colour of all longer vectors.

    Computing the colour of each pixel instead would cost more than a small network.
    """
    wheel = _make_wheel()
    steps = np.arange(len(wheel) + 1)
    turns = np.arange(_ANGLES) * len(wheel) / _ANGLES
    hue = np.stack([np.interp(turns, steps, np.append(wheel[:, c], wheel[0, c])) for c in range(3)], axis=1)[:, None]
    saturation = (np.arange(_LENGTHS + 1) / _LENGTHS)[None, :, None]
    colour = np.concatenate([1 - saturation * (1 - hue), hue * _BRIGHTNESS_BEYOND_MAX], axis=1)
    table: Frame = np.rint(colour.reshape(-1, 3) * 255).astype(np.uint8)
    return table


def flow_picture(flow: npt.NDArray[np.float32], *, max_px: float) -> Frame:
    """Show flow, float32 ``(2, H, W)`` in pixels, as uint8 ``(H, W, 3)`` BGR.

    A vector of ``max_px`` pixels has full saturation; longer ones are darker. Motion to the right is red, down yellow,
    left cyan, up blue-violet. A vector that is not finite is black.

    Raises:
        ValueError: ``max_px`` is not above zero.
    """
    if not max_px > 0:
        raise ValueError(f"max_px is {max_px}; expected a length above 0 pixels")
    known = np.isfinite(flow).all(axis=0)
    dx, dy = np.where(known, flow, 0).astype(np.float32)
    length, angle = cv2.cartToPolar(dx, dy)
    column = np.ceil(np.minimum(length * np.float32(_LENGTHS / max_px), _LENGTHS + 1)).astype(np.int32)
    row = np.rint(angle * np.float32(_ANGLES / (2 * np.pi))).astype(np.int32) % _ANGLES
    colour: Frame = np.take(_table(), row * _ROW + column, axis=0)
    colour[~known] = 0
    return colour


class FlowScale:
    """The flow length shown at full saturation; it follows the video without flicker.

    It rises at once to the 99th percentile of the frame's lengths and falls slowly. A lower limit keeps the noise of a
    still picture pale.
    """

    FLOOR_PX = 2.0
    _DECAY = 0.98

    def __init__(self, fixed_px: float | None = None) -> None:
        """Adapt to the video, or keep ``fixed_px``.

        Raises:
            ValueError: ``fixed_px`` is not above zero.
        """
        if fixed_px is not None and not fixed_px > 0:
            raise ValueError(f"the flow scale is {fixed_px}; expected a length above 0 pixels")
        self._fixed = fixed_px is not None
        self.max_px: float = self.FLOOR_PX if fixed_px is None else fixed_px

    def follow(self, flow: npt.NDArray[np.float32]) -> float:
        """Adapt to the flow of the next frame, float32 ``(2, H, W)``; return the scale to show it with."""
        if not self._fixed:
            lengths = np.hypot(*flow[:, ::4, ::4])
            lengths = lengths[np.isfinite(lengths)]
            longest = float(np.percentile(lengths, 99)) if lengths.size else 0.0
            self.max_px = max(longest, self.max_px * self._DECAY, self.FLOOR_PX)
        return self.max_px
