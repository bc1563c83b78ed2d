"""CIELAB colours of sRGB pixels, and their CIEDE2000 differences."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

_Float = TypeVar("_Float", np.float32, np.float64)
_Array = npt.NDArray[Any]

#: Linear light of each of the 256 levels of sRGB (IEC 61966-2-1).
_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
#: From linear red, green, blue of sRGB to XYZ, each divided by its value for the white point D65.
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_XYZ_OF_WHITE = (_XYZ / _XYZ.sum(axis=1, keepdims=True)).astype(np.float32)
#: CIE 15: below ``_EPSILON`` the cube root is replaced by a line.
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27
_TURN = 2 * math.pi
_POW7_OF_25 = 25.0**7


def lab_of_bgr(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """CIELAB (D65) of sRGB pixels, uint8 ``(..., 3)`` BGR: float32 ``(..., 3)`` of L*, a* and b*.

    OpenCV's own conversion interpolates in a coarse table and is wrong by up to 0.45 in a*.
    """
    xyz = _LINEAR[pixels[..., ::-1]] @ _XYZ_OF_WHITE.T
    f = np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(lab: npt.NDArray[_Float], reference: npt.NDArray[_Float]) -> npt.NDArray[_Float]:
    """CIEDE2000 colour differences of CIELAB colours ``(..., 3)``, with kL = kC = kH = 1: ``(...)`` of their dtype.

    G. Sharma, W. Wu and E. Dalal, "The CIEDE2000 color-difference formula", Color Research and Application 30 (2005).
    The paper has another mean hue for pairs with a grey colour. It is not needed here: the mean hue only weighs the
    difference in hue, which is zero for such pairs.
    """
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(lab, -1, 0), np.moveaxis(reference, -1, 0)
    stretch = 1.5 - 0.5 * _chroma_weight((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)
    (c1, h1), (c2, h2) = _polar(stretch * a1, b1), _polar(stretch * a2, b2)
    turn = h2 - h1
    turn = np.where(np.abs(turn) <= math.pi, turn, turn - np.copysign(_TURN, turn))
    mean_c, mean_h = (c1 + c2) / 2, (h1 + turn / 2) % _TURN
    lightness = (l2 - l1) / _lightness_scale((l1 + l2) / 2)
    chroma = (c2 - c1) / (1 + 0.045 * mean_c)
    hue = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2) / (1 + 0.015 * mean_c * _hue_scale(mean_h))
    difference: npt.NDArray[_Float] = np.sqrt(
        lightness**2 + chroma**2 + hue**2 + _rotation(mean_c, mean_h) * chroma * hue
    )
    return difference


def _polar(a: _Array, b: _Array) -> tuple[_Array, _Array]:
    """Chroma, and hue from 0 to one turn."""
    return np.hypot(a, b), np.arctan2(b, a) % _TURN


def _chroma_weight(chroma: _Array) -> Any:
    """``sqrt(C^7 / (C^7 + 25^7))``: 0 for greys, 1 for strong colours."""
    square = chroma * chroma
    power = square * square * square * chroma
    return np.sqrt(power / (power + _POW7_OF_25))


def _lightness_scale(lightness: _Array) -> Any:
    square = (lightness - 50) ** 2
    return 1 + 0.015 * square / np.sqrt(20 + square)


def _hue_scale(hue: _Array) -> Any:
    first, second, third = (math.radians(degrees) for degrees in (30, 6, 63))
    return (
        1
        - 0.17 * np.cos(hue - first)
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + second)
        - 0.20 * np.cos(4 * hue - third)
    )


def _rotation(chroma: _Array, hue: _Array) -> Any:
    """The term that couples chroma and hue in the blue."""
    angle = math.radians(30) * np.exp(-(((np.rad2deg(hue) - 275) / 25) ** 2))
    return -2 * _chroma_weight(chroma) * np.sin(2 * angle)
