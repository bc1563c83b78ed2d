"""Frames of a scene with one pose per row, as a rolling shutter sees it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .camera_path import Array
from .scene import Scene
from .texture import Layer, Plane

#: Change of the mirroring normal over one unit of the view, because the lamp is near.
_LAMP_NEARNESS = 0.35

GUM, TOOTH, TOOL = 0, 1, 2


def motion(pose: Array, parallax: float) -> Array:
    """``(x, y, a, b)`` of poses ``(4, ...)``: X is seen at ``[[a, -b], [b, a]] (X - (x, y))`` from the centre."""
    zoom = np.exp(parallax * pose[3])
    return np.stack([parallax * pose[0], parallax * pose[1], zoom * np.cos(pose[2]), zoom * np.sin(pose[2])])


def to_screen(world: Array, moved: Array, size_hw: tuple[int, int]) -> Array:
    """Pixel coordinates ``(2, ...)`` of world points ``(2, ...)`` in pixels, under ``motion`` values of that shape."""
    x, y, a, b = moved
    dx, dy = world[0] - x, world[1] - y
    return np.stack([a * dx - b * dy + (size_hw[1] - 1) / 2, b * dx + a * dy + (size_hw[0] - 1) / 2])


def to_world(moved: Array, columns: Array, size_hw: tuple[int, int]) -> Array:
    """World points ``(2, H, C)`` seen at columns ``(C,)`` of every row, under one ``motion`` per row ``(4, H)``."""
    x, y, a, b = moved[..., None]
    norm = a * a + b * b
    dx = columns - (size_hw[1] - 1) / 2
    dy = (np.arange(size_hw[0]) - (size_hw[0] - 1) / 2)[:, None]
    return np.stack([x + (a * dx + b * dy) / norm, y + (a * dy - b * dx) / norm])


@dataclass(frozen=True)
class View:
    """One rendered frame.

    Attributes:
        picture: float32 ``(H, W, 3)`` BGR, 0 to 255.
        surface: uint8 ``(H, W)``: the surface in front, ``GUM``, ``TOOTH`` or ``TOOL``.
    """

    picture: Plane
    surface: npt.NDArray[np.uint8]


class Renderer:
    """Draws frames of one scene at one size."""

    def __init__(self, scene: Scene, size_hw: tuple[int, int]) -> None:
        self._scene = scene
        self._size_hw = size_hw
        self._ends = np.array([0.0, size_hw[1] - 1.0])
        dx = (np.arange(size_hw[1]) - (size_hw[1] - 1) / 2) / size_hw[0]
        dy = (np.arange(size_hw[0]) - (size_hw[0] - 1) / 2) / size_hw[0]
        self._mirror_x = (scene.highlight_xy[0] - _LAMP_NEARNESS * dx).astype(np.float32)[None]
        self._mirror_y = (scene.highlight_xy[1] - _LAMP_NEARNESS * dy).astype(np.float32)[:, None]

    def draw(self, camera: Array, tool: Array) -> View:
        """Draw one frame from poses ``(4, H)`` of the camera and of the instrument, one per row."""
        gum, gum_normal = self._project(self._scene.gum, camera)
        teeth, teeth_normal = self._project(self._scene.teeth, camera)
        assert gum_normal is not None and teeth_normal is not None
        alpha = teeth[..., 3].astype(np.float32) / 255
        picture = _over(teeth, cv2.cvtColor(gum, cv2.COLOR_BGRA2BGR).astype(np.float32))
        picture += cv2.cvtColor(self._highlights(gum_normal, teeth_normal, alpha), cv2.COLOR_GRAY2BGR)
        surface = np.where(teeth[..., 3] >= 128, TOOTH, GUM).astype(np.uint8)
        if self._scene.tool is not None:
            front, _ = self._project(self._scene.tool, tool)
            picture = _over(front, picture)
            surface[front[..., 3] >= 128] = TOOL
        return View(np.minimum(picture, np.float32(255)), surface)

    def _project(self, layer: Layer, pose: Array) -> tuple[npt.NDArray[np.uint8], Plane | None]:
        """A layer's picture ``(H, W, 4)`` and normals ``(H, W, 2)`` on the screen."""
        canvas = self._scene.canvas
        x0, y0 = canvas.centre_xy
        scale = canvas.per_unit / self._size_hw[0]
        # Along a row the position on the canvas is linear, so the two ends determine it.
        ends = to_world(motion(pose, layer.parallax), self._ends, self._size_hw) * scale
        x = _between(ends[0] + x0, self._size_hw[1])
        y = _between(ends[1] + y0, self._size_hw[1])
        border = cv2.BORDER_REFLECT_101 if layer is self._scene.gum else cv2.BORDER_CONSTANT
        colour = cv2.remap(layer.colour, x, y, cv2.INTER_LINEAR, borderMode=border)
        if layer.normal is None:
            return colour, None
        return colour, cv2.remap(layer.normal, x, y, cv2.INTER_LINEAR, borderMode=border)

    def _highlights(self, gum: Plane, teeth: Plane, alpha: Plane) -> Plane:
        """Light that the lamp's mirror images add, ``(H, W)``; they stay with the lamp while the surface moves."""
        behind = 1 - alpha
        gum_x, gum_y = cv2.split(gum)
        tooth_x, tooth_y = cv2.split(teeth)
        gloss = self._scene.gum.gloss + (self._scene.teeth.gloss - self._scene.gum.gloss) * alpha
        off_x, off_y = gum_x * behind + tooth_x - self._mirror_x, gum_y * behind + tooth_y - self._mirror_y
        off = off_x * off_x + off_y * off_y
        return np.asarray(230 * gloss * cv2.exp(off * np.float32(-0.5 / self._scene.sharpness**2)), np.float32)


def _over(front: npt.NDArray[np.uint8], behind: Plane) -> Plane:
    """``front`` ``(H, W, 4)``, premultiplied, laid over ``behind`` ``(H, W, 3)``."""
    clear = cv2.cvtColor(255 - front[..., 3], cv2.COLOR_GRAY2BGR)
    shown = cv2.multiply(behind, clear, scale=1 / 255, dtype=cv2.CV_32F)
    return np.asarray(cv2.add(shown, cv2.cvtColor(front, cv2.COLOR_BGRA2BGR), dtype=cv2.CV_32F), np.float32)


def _between(ends: Array, width: int) -> Plane:
    """``width`` values from the first to the last of each row of ``ends`` ``(H, 2)``, ``(H, width)``."""
    step = (ends[:, 1:] - ends[:, :1]) / (width - 1)
    columns = np.arange(width, dtype=np.float32)
    return np.asarray(ends[:, :1].astype(np.float32) + step.astype(np.float32) * columns, np.float32)
