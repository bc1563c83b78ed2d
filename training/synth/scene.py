"""The world of one synthetic sequence: layers of teeth, gum and instrument, drawn once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .gum import paint_gum
from .teeth import paint_teeth, place_teeth
from .texture import Canvas, Layer
from .tool import paint_tool

#: Canvas pixels per pixel of the view, so that zooming in does not blur.
_OVERSAMPLING = 1.25
#: Height of the canvas, and by how much it is wider than the view, in units; the camera's path stays well inside.
_HEIGHT = 1.9
_EXTRA_WIDTH = 0.9


@dataclass(frozen=True)
class Scene:
    """Layers from back to front.

    Attributes:
        canvas: sampling that they share.
        gum: opaque background.
        teeth: nearer than the gum.
        tool: in front of all, with a motion of its own; None in scenes without an instrument.
        highlight_xy: x and y of the normal that mirrors the lamp in the middle of the view.
        sharpness: extent of a highlight, as a deviation of the normal.
    """

    canvas: Canvas
    gum: Layer
    teeth: Layer
    tool: Layer | None
    highlight_xy: tuple[float, float]
    sharpness: float


def build_scene(seed: np.random.SeedSequence, size_hw: tuple[int, int], *, tool_share: float) -> Scene:
    """Draw the scene of a seed for a view of ``size_hw`` pixels; ``tool_share`` is the share with an instrument."""
    layout, teeth, gum, tool = (np.random.default_rng(child) for child in seed.spawn(4))
    per_unit = _OVERSAMPLING * size_hw[0]
    width = (size_hw[1] / size_hw[0] + _EXTRA_WIDTH) * per_unit
    canvas = Canvas((round(_HEIGHT * per_unit), round(width)), per_unit)
    tilt, direction = layout.uniform(0.1, 0.5), layout.uniform(0, 2 * np.pi)
    light = np.array([np.sin(tilt) * np.cos(direction), np.sin(tilt) * np.sin(direction), np.cos(tilt)])
    row = place_teeth(layout)
    teeth_layer = paint_teeth(teeth, canvas, row, light)
    return Scene(
        canvas,
        paint_gum(gum, canvas, row, teeth_layer, light),
        teeth_layer,
        paint_tool(tool, canvas) if tool.random() < tool_share else None,
        (float(light[0] / 2), float(light[1] / 2)),
        float(layout.uniform(0.05, 0.12)),
    )
