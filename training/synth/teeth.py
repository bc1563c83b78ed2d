"""A row of teeth: outlines, relief, enamel, fissures and caries-like spots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .texture import Canvas, Layer, Plane, fractal, lambert, mix, normals, premultiplied, smoothstep

_IVORY_BGR = (190.0, 214.0, 232.0)
_NECK_BGR = (128.0, 178.0, 212.0)
_EDGE_BGR = (196.0, 200.0, 200.0)
_CARIES_BGR = (28.0, 52.0, 92.0)
_FISSURE_BGR = (50.0, 88.0, 128.0)
_CHALK_BGR = (215.0, 228.0, 232.0)
_AMALGAM_BGR = (96.0, 96.0, 92.0)


@dataclass(frozen=True)
class Tooth:
    """One tooth of a row: place along and across it, width and height in units, and power of its superellipse."""

    along: float
    across: float
    width: float
    height: float
    power: float


@dataclass(frozen=True)
class Row:
    """A curved row of teeth.

    Attributes:
        angle: its direction in radians.
        bend: its curvature in 1/units.
        offset: distance of its middle from the world's origin, in units.
        occlusal: true if seen from above the chewing surfaces, false if from the cheek.
        teeth: in order.
    """

    angle: float
    bend: float
    offset: float
    occlusal: bool
    teeth: tuple[Tooth, ...]

    def coordinates(self, x: Plane, y: Plane) -> tuple[Plane, Plane]:
        """Coordinates of world points along and across the row, in units."""
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        along = x * cos + y * sin
        return along, y * cos - x * sin - np.float32(self.offset) - np.float32(self.bend / 2) * along**2


def place_teeth(rng: np.random.Generator) -> Row:
    """A row of three to six teeth near the world's origin, sometimes with one missing."""
    occlusal = bool(rng.random() < 0.5)
    count = int(rng.integers(3, 7))
    size = rng.uniform(0.26, 0.44)
    ratio = rng.uniform(0.85, 1.15) if occlusal else rng.uniform(1.05, 1.4)
    widths = size * rng.uniform(0.8, 1.15, count)
    gaps = rng.uniform(0.0, 0.025, count) + 0.08 * (rng.random(count) < 0.12)
    ends = np.cumsum(widths + gaps)
    middles = ends - widths / 2 - ends[-1] / 2 + rng.uniform(-0.15, 0.15)
    missing = int(rng.integers(count)) if rng.random() < 0.15 else -1
    teeth = tuple(
        Tooth(
            float(middles[k]),
            float(rng.normal(0, 0.025)),
            float(widths[k]),
            float(size * ratio * rng.uniform(0.9, 1.1)),
            float(rng.uniform(2.6, 3.8)),
        )
        for k in range(count)
        if k != missing
    )
    angle = rng.uniform(-0.45, 0.45) + np.pi * (rng.random() < 0.5)
    return Row(float(angle), float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.12, 0.12)), occlusal, teeth)


def paint_teeth(rng: np.random.Generator, canvas: Canvas, row: Row, light: npt.NDArray[np.float64]) -> Layer:
    """The teeth as a layer."""
    x, y = canvas.grid()
    along, across = row.coordinates(x, y)
    enamel = fractal(rng, canvas, cell=0.12, octaves=5, decay=0.6)
    stain = fractal(rng, canvas, cell=0.08, octaves=4)
    colour = np.zeros((*canvas.size_hw, 3), np.float32)
    alpha, relief = np.zeros(canvas.size_hw, np.float32), np.zeros(canvas.size_hw, np.float32)
    for tooth in row.teeth:
        box = _box(along, across, tooth)
        if box is None:
            continue
        u, v, radius = _shape(rng, tooth, along[box], across[box], row.occlusal)
        cover = np.clip((1 - radius) * min(tooth.width, tooth.height) / 2 * canvas.per_unit + 0.5, 0, 1)
        paint, height = _paint(rng, tooth, (u, v, radius), (enamel[box], stain[box]), row.occlusal)
        colour[box] = mix(colour[box], paint, cover)
        relief[box] = relief[box] + (height - relief[box]) * cover
        alpha[box] = np.maximum(alpha[box], cover)
    normal = normals(relief + 0.0006 * enamel, canvas.per_unit)
    colour *= lambert(normal, light, ambient=0.45)[..., None]
    return Layer(premultiplied(colour, alpha), normal * alpha[..., None], float(rng.uniform(0.5, 1.0)), 1.0)


def _box(along: Plane, across: Plane, tooth: Tooth) -> tuple[slice, slice] | None:
    """The part of the canvas that a tooth may touch."""
    near = np.abs(along - tooth.along) < 0.65 * tooth.width
    near &= np.abs(across - tooth.across) < 0.65 * tooth.height
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _shape(
    rng: np.random.Generator, tooth: Tooth, along: Plane, across: Plane, occlusal: bool
) -> tuple[Plane, Plane, Plane]:
    """Coordinates on a tooth, -1 to 1 from edge to edge, and the radius, which is 1 on its outline."""
    u, v = (along - tooth.along) / (tooth.width / 2), (across - tooth.across) / (tooth.height / 2)
    tilt = rng.normal(0, 0.08)
    u, v = u + np.float32(tilt) * v, v - np.float32(tilt) * u
    if not occlusal:
        u = u * (1 + np.float32(rng.uniform(0.08, 0.22)) * v)  # narrower at the neck
    power = np.float32(tooth.power)
    radius = (np.abs(u) ** power + np.abs(v) ** power) ** (1 / power)
    angle = np.arctan2(v, u)
    for k in range(2, 6):
        radius = radius * (1 + np.float32(rng.normal(0, 0.03) / k * 2) * np.cos(k * angle + rng.uniform(0, 6.3)))
    return u.astype(np.float32), v.astype(np.float32), np.asarray(radius, np.float32)


def _paint(
    rng: np.random.Generator,
    tooth: Tooth,
    shape: tuple[Plane, Plane, Plane],
    noise: tuple[Plane, Plane],
    occlusal: bool,
) -> tuple[Plane, Plane]:
    """Colour ``(h, w, 3)`` of one tooth, and its relief ``(h, w)`` in units."""
    u, v, radius = shape
    enamel, stain = noise
    inside = np.clip(1 - radius**3, 0, 1)
    height = np.float32(0.24 * tooth.width) * np.sqrt(inside)
    yellow = rng.normal(0, 0.06)
    tint = np.array([1 - yellow, 1 - 0.3 * yellow, 1 + 0.1 * yellow]) * rng.normal(1, 0.01, 3)
    shade = (rng.uniform(0.84, 1.06) * tint).astype(np.float32)
    paint = np.broadcast_to(np.asarray(_IVORY_BGR, np.float32), (*u.shape, 3))
    if occlusal:
        paint, height = _chewing_surface(rng, tooth, shape, stain, paint, height)
    else:
        paint = mix(paint, _NECK_BGR, 0.8 * smoothstep((v - 0.1) / 1.0))
        paint = mix(paint, _EDGE_BGR, 0.7 * smoothstep((-v - 0.55) / 0.4))
        ridges = np.cos(u * np.float32(rng.uniform(5, 8)) + np.float32(rng.uniform(0, 6.3)))
        height = height + np.float32(0.008 * tooth.width) * ridges * inside
    paint = mix(paint, _NECK_BGR, 0.6 * smoothstep((radius - 0.8) / 0.25))
    paint = _spots(rng, shape, stain, paint)
    return (paint * shade * (1 + 0.035 * enamel)[..., None]).astype(np.float32), height.astype(np.float32)


def _chewing_surface(
    rng: np.random.Generator,
    tooth: Tooth,
    shape: tuple[Plane, Plane, Plane],
    stain: Plane,
    paint: Plane,
    height: Plane,
) -> tuple[Plane, Plane]:
    """Cusps, and the dark fissures between them."""
    u, v, radius = shape
    for su, sv in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        du, dv = u - su * rng.uniform(0.38, 0.55), v - sv * rng.uniform(0.38, 0.55)
        height = height + np.float32(tooth.width * rng.uniform(0.06, 0.13)) * np.exp(-(du**2 + dv**2) / 0.12)
    wave = rng.uniform(-0.15, 0.15) + 0.1 * np.sin(u * rng.uniform(2, 5) + rng.uniform(0, 6.3)) + 0.04 * stain
    distance = np.abs(v - wave) + 0.6 * np.clip(np.abs(u) - 0.6, 0, None)
    for _ in range(int(rng.integers(1, 4))):
        place = rng.uniform(-0.5, 0.5) + rng.uniform(-0.4, 0.4) * v + 0.04 * stain
        cross = np.abs(u - place) + 0.7 * np.clip(np.abs(v) - rng.uniform(0.3, 0.6), 0, None)
        distance = np.minimum(distance, cross)
    centre = smoothstep((0.85 - radius) / 0.25)
    height = height - np.float32(0.1 * tooth.width) * np.exp(-((distance / 0.11) ** 2)) * centre
    line = np.exp(-((distance / rng.uniform(0.03, 0.06)) ** 2)) * centre
    dark = np.float32(rng.uniform(0.25, 0.9)) * np.clip(0.8 + 0.4 * stain, 0.1, 1)
    paint = mix(paint, _NECK_BGR, 0.5 * np.exp(-((distance / 0.25) ** 2)) * centre)
    return mix(paint, _FISSURE_BGR, line * dark), height


def _spots(rng: np.random.Generator, shape: tuple[Plane, Plane, Plane], stain: Plane, paint: Plane) -> Plane:
    """Brown caries-like spots, chalky spots, and sometimes a filling."""
    u, v, _ = shape
    for _ in range(int(rng.poisson(0.7))):
        chalk = rng.random() < 0.3
        size = rng.uniform(0.1, 0.32)
        u0, v0 = rng.uniform(-0.6, 0.6, 2)
        distance = np.hypot(u - u0, v - v0) / size + 0.3 * stain
        share = smoothstep((1 - distance) / rng.uniform(0.3, 0.9)) * np.float32(rng.uniform(0.4, 0.95))
        paint = mix(paint, _CHALK_BGR if chalk else _CARIES_BGR, share)
        if not chalk:
            paint = mix(paint, _FISSURE_BGR, 0.35 * smoothstep((1.7 - distance) / 0.8))
    if rng.random() < 0.15:
        u0, v0 = rng.uniform(-0.25, 0.25, 2)
        distance = np.hypot(u - u0, 1.3 * (v - v0)) / rng.uniform(0.3, 0.5) + 0.08 * stain
        paint = mix(paint, _AMALGAM_BGR, smoothstep((1 - distance) / 0.08))
    return paint
