"""The instrument in front of the teeth: a bur, a probe or a suction tube, lit as a cylinder."""

from __future__ import annotations

import numpy as np

from .texture import Canvas, Layer, premultiplied

#: Half width in units at each distance from the tip, in units.
_SHAPES = {
    "bur": (
        (0, 0.01, 0.07, 0.08, 0.16, 0.17, 0.34, 0.4, 3),
        (0.012, 0.024, 0.02, 0.012, 0.012, 0.026, 0.03, 0.1, 0.13),
    ),
    "probe": ((0, 0.25, 0.4, 0.9, 3), (0.003, 0.016, 0.022, 0.04, 0.05)),
    "suction": ((0, 0.02, 0.1, 3), (0.055, 0.065, 0.06, 0.065)),
}
_TINTS_BGR = {"bur": (205.0, 200.0, 196.0), "probe": (200.0, 196.0, 190.0), "suction": (215.0, 200.0, 170.0)}


def paint_tool(rng: np.random.Generator, canvas: Canvas) -> Layer:
    """An instrument as a layer; its tip is near the world's origin and its shaft leaves the view."""
    kind = str(rng.choice(list(_SHAPES)))
    x, y = canvas.grid()
    tip_x, tip_y = rng.uniform(-0.35, 0.35), rng.uniform(-0.2, 0.2)
    angle = rng.uniform(0, 2 * np.pi)
    along = (x - tip_x) * np.cos(angle) + (y - tip_y) * np.sin(angle)
    across = (y - tip_y) * np.cos(angle) - (x - tip_x) * np.sin(angle)
    scale = rng.uniform(0.8, 1.3)
    half = np.interp(along / scale, *_SHAPES[kind], left=0.0) * scale
    alpha = np.clip((half - np.abs(across)) * canvas.per_unit + 0.5, 0, 1) * (along > 0)
    c = np.clip(across / np.maximum(half, 1e-3), -1, 1)
    shine = rng.uniform(-0.5, 0.5)
    light = 0.25 + 0.5 * np.sqrt(1 - c**2) + 0.5 * np.exp(-(((c - shine) / 0.16) ** 2))
    light -= 0.25 * np.exp(-(((c - shine - 0.35) / 0.12) ** 2))
    if kind == "bur":
        flutes = 0.5 + 0.5 * np.sin(along / scale * 320 + c * 3)
        light *= np.where(along < 0.07 * scale, 0.55 + 0.45 * flutes, 1)
    rings = 1 - 0.25 * np.exp(-((((along / scale + rng.uniform(0, 0.1)) % 0.23) / 0.006) ** 2))
    tint = np.asarray(_TINTS_BGR[kind]) * rng.uniform(0.85, 1.1)
    colour = tint * (light * rings)[..., None]
    return Layer(premultiplied(colour.astype(np.float32), alpha.astype(np.float32)), None, 0.0, 1.0)
