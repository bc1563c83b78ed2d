"""The background of a scene: gum with vessels, cheek or tongue, and the dark throat."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .teeth import Row
from .texture import Canvas, Layer, Plane, blur, fractal, lambert, mix, normals, premultiplied, smoothstep

_GUM_BGR = (122.0, 116.0, 196.0)
_RED_BGR = (74.0, 62.0, 164.0)
_PALE_BGR = (150.0, 150.0, 208.0)
_THROAT_BGR = (22.0, 16.0, 40.0)
_VESSEL_BGR = (58.0, 40.0, 132.0)


def paint_gum(
    rng: np.random.Generator, canvas: Canvas, row: Row, teeth: Layer, light: npt.NDArray[np.float64]
) -> Layer:
    """The background as an opaque layer, shaded by the teeth in front of it."""
    x, y = canvas.grid()
    _, across = row.coordinates(x, y)
    cover = teeth.colour[..., 3].astype(np.float32) / 255
    near = blur(cover, 0.05 * canvas.per_unit)
    flesh, grain = fractal(rng, canvas, cell=0.4, octaves=5), fractal(rng, canvas, cell=0.05, octaves=3, decay=0.7)
    colour = mix(
        np.broadcast_to(np.asarray(_GUM_BGR, np.float32), (*canvas.size_hw, 3)), _RED_BGR, smoothstep(0.4 + 0.3 * flesh)
    )
    colour = mix(colour, _PALE_BGR, 0.6 * smoothstep(-0.1 - 0.4 * flesh))
    colour = mix(colour, _RED_BGR, 0.7 * smoothstep(near * 2.2 - 0.2))
    colour = mix(colour, _VESSEL_BGR, _vessels(rng, canvas))
    relief = 0.09 * np.sqrt(near + 0.02) + 0.012 * flesh + np.float32(rng.uniform(0.0003, 0.0009)) * grain
    normal = normals(relief.astype(np.float32), canvas.per_unit)
    colour = colour * lambert(normal, light, ambient=0.35)[..., None] * (1 + 0.03 * grain)[..., None]
    throat = _throat(rng, row, across, flesh)
    colour = mix(colour, _THROAT_BGR, throat)
    normal[..., 0] += throat  # turned away from the lamp, so that the throat has no highlights
    colour = colour * (1 - 0.55 * blur(cover, 0.018 * canvas.per_unit))[..., None]
    colour *= np.float32(rng.uniform(0.7, 1.05)) * np.asarray(rng.normal(1, 0.04, 3), np.float32)
    opaque = np.ones(canvas.size_hw, np.float32)
    return Layer(premultiplied(colour, opaque), normal, float(rng.uniform(0.15, 0.5)), float(rng.uniform(0.7, 0.95)))


def _throat(rng: np.random.Generator, row: Row, across: Plane, flesh: Plane) -> Plane:
    """Visible share of the dark throat, 0 to 1, ``(H, W)``."""
    half = max((tooth.height for tooth in row.teeth), default=0.3) / 2
    begin = half * rng.uniform(0.3, 1.0) if not row.occlusal else half * rng.uniform(0.9, 1.6)
    share = smoothstep((-across - np.float32(begin) + 0.04 * flesh) / np.float32(rng.uniform(0.1, 0.35)))
    return share * np.float32(rng.uniform(0.75, 1.0))


def _vessels(rng: np.random.Generator, canvas: Canvas) -> Plane:
    """Winding thin lines, 0 to about 0.6, ``(H, W)``."""
    height, width = canvas.size_hw
    picture = np.zeros((height, width), np.uint8)
    step = 0.02 * canvas.per_unit
    for _ in range(int(rng.integers(6, 22))):
        turns = rng.uniform(0, 6.3) + np.cumsum(rng.normal(0, 0.3, 40))
        path = rng.uniform(0, (width, height)) + np.cumsum(step * np.column_stack([np.cos(turns), np.sin(turns)]), 0)
        points = np.round(path * 16).astype(np.int32).reshape(-1, 1, 2)
        thickness = max(1, round(canvas.per_unit * rng.uniform(0.002, 0.008)))
        cv2.polylines(picture, [points], False, int(rng.integers(60, 160)), thickness, cv2.LINE_AA, shift=4)
    return blur(picture.astype(np.float32) / 255, 0.004 * canvas.per_unit)
