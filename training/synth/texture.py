"""The canvas, noise, normals and light that the painters of a scene share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

#: Float32 by convention; mypy takes any arithmetic with a NumPy scalar for float64.
Plane = npt.NDArray[Any]


@dataclass(frozen=True)
class Canvas:
    """Sampling of a world that is larger than the view. One unit is the height of the view at zoom 1.

    Attributes:
        size_hw: height and width in canvas pixels.
        per_unit: canvas pixels per unit.
    """

    size_hw: tuple[int, int]
    per_unit: float

    @property
    def centre_xy(self) -> tuple[float, float]:
        """Canvas position of the world's origin."""
        return (self.size_hw[1] - 1) / 2, (self.size_hw[0] - 1) / 2

    def grid(self) -> tuple[Plane, Plane]:
        """World x ``(1, W)`` and y ``(H, 1)`` of the pixels, in units."""
        height, width = self.size_hw
        x0, y0 = self.centre_xy
        xs = ((np.arange(width) - x0) / self.per_unit).astype(np.float32)
        ys = ((np.arange(height) - y0) / self.per_unit).astype(np.float32)
        return xs[None], ys[:, None]


@dataclass(frozen=True)
class Layer:
    """One sheet of the world.

    Attributes:
        colour: uint8 ``(H, W, 4)``, BGR times alpha, and alpha.
        normal: float32 ``(H, W, 2)``, x and y of the surface normal times alpha; None if highlights are painted on.
        gloss: strength of its highlights, 0 to 1.
        parallax: its motion as a fraction of the motion of the teeth; below 1 it is further away.
    """

    colour: npt.NDArray[np.uint8]
    normal: Plane | None
    gloss: float
    parallax: float


def fractal(rng: np.random.Generator, canvas: Canvas, *, cell: float, octaves: int = 4, decay: float = 0.5) -> Plane:
    """Noise of several octaves, float32 ``(H, W)`` of about unit deviation; its coarsest grain is ``cell`` units."""
    height, width = canvas.size_hw
    total: Plane = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        step = max(1.0, cell * canvas.per_unit / 2**octave)
        shape = (int(height / step) + 3, int(width / step) + 3)
        coarse = rng.standard_normal(shape, dtype=np.float32) * np.float32(decay**octave)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    total /= max(float(total.std()), 1e-6)
    return total


def blur(plane: Plane, sigma: float) -> Plane:
    """Gaussian blur by ``sigma`` canvas pixels; a wide one is made at a quarter of the size."""
    if sigma < 12:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
    small = cv2.resize(plane, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / 4)
    return np.asarray(cv2.resize(small, plane.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def normals(height: Plane, per_unit: float) -> Plane:
    """x and y of the unit normals of a height map in units, float32 ``(H, W, 2)``."""
    dx = cv2.Scharr(height, cv2.CV_32F, 1, 0, scale=per_unit / 32)
    dy = cv2.Scharr(height, cv2.CV_32F, 0, 1, scale=per_unit / 32)
    length = np.sqrt(dx * dx + dy * dy + 1)
    return np.dstack([-dx / length, -dy / length]).astype(np.float32)


def lambert(normal: Plane, light: npt.NDArray[np.float64], *, ambient: float) -> Plane:
    """Diffuse shading, float32 ``(H, W)``, 1 where the surface faces the unit vector ``light``."""
    nz = np.sqrt(np.clip(1 - normal[..., 0] ** 2 - normal[..., 1] ** 2, 0, 1))
    facing = normal[..., 0] * light[0] + normal[..., 1] * light[1] + nz * light[2]
    return np.asarray(ambient + (1 - ambient) * np.clip(facing, 0, None), np.float32)


def mix(under: Plane, over: tuple[float, float, float] | Plane, share: Plane) -> Plane:
    """``under`` ``(H, W, 3)`` covered by ``over``, by the share ``(H, W)`` of 0 to 1."""
    share = share[..., None]
    return np.asarray(under + (np.asarray(over, np.float32) - under) * share, np.float32)


def smoothstep(x: Plane) -> Plane:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def premultiplied(colour: Plane, alpha: Plane) -> npt.NDArray[np.uint8]:
    """A layer's picture from BGR ``(H, W, 3)`` and alpha ``(H, W)`` of 0 to 1."""
    colour = np.clip(colour, 0, 255) * alpha[..., None]
    return np.dstack([colour, alpha * 255]).round().astype(np.uint8)
