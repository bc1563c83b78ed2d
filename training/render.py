"""Frames of a scene under a pose per row, which is what a rolling shutter sees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .camera_path import Array
from .scene import Scene
from .scene_texture import Layer, Plane

Bgr = npt.NDArray[np.uint8]

#: Change of the mirroring normal over one unit of the view: the lamp is near.
_LAMP_NEARNESS = 0.35

GUM, TOOTH, TOOL = 0, 1, 2


def motion(pose: Array, parallax: float) -> Array:
    """``(x, y, a, b)`` of poses ``(4, ...)``: X is seen ``[[a, -b], [b, a]] (X - (x, y))`` from the frame's centre."""
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
        surface: uint8 ``(H, W)``: which of ``GUM``, ``TOOTH``, ``TOOL`` is in front.
    """

    picture: Plane
    surface: npt.NDArray[np.uint8]


class Renderer:
    """Draws frames of one scene at one size."""

    def __init__(self, scene: Scene, size_hw: tuple[int, int]) -> None:
        self._scene = scene
        self._size_hw = size_hw
        self._columns = np.arange(size_hw[1], dtype=np.float64)
        dx = (np.arange(size_hw[1]) - (size_hw[1] - 1) / 2) / size_hw[0]
        dy = (np.arange(size_hw[0]) - (size_hw[0] - 1) / 2) / size_hw[0]
        self._mirror_x = (scene.highlight_xy[0] - _LAMP_NEARNESS * dx).astype(np.float32)[None]
        self._mirror_y = (scene.highlight_xy[1] - _LAMP_NEARNESS * dy).astype(np.float32)[:, None]

    def draw(self, camera: Array, tool: Array) -> View:
        """Draw one frame from poses ``(4, H)`` of the camera and of the instrument, one per row."""
        gum, gum_normal = self._look(self._scene.gum, camera)
        teeth, teeth_normal = self._look(self._scene.teeth, camera)
        alpha = teeth[..., 3].astype(np.float32) / 255
        picture = gum[..., :3] * (1 - alpha[..., None]) + teeth[..., :3]
        assert gum_normal is not None and teeth_normal is not None
        picture += self._highlights(gum_normal, teeth_normal, alpha)[..., None]
        surface = np.where(teeth[..., 3] >= 128, TOOTH, GUM).astype(np.uint8)
        if self._scene.tool is not None:
            front, _ = self._look(self._scene.tool, tool)
            picture = picture * (1 - front[..., 3:] / np.float32(255)) + front[..., :3]
            surface[front[..., 3] >= 128] = TOOL
        return View(np.minimum(picture, 255).astype(np.float32), surface)

    def _look(self, layer: Layer, pose: Array) -> tuple[npt.NDArray[np.uint8], Plane | None]:
        """A layer's picture ``(H, W, 4)`` and normals ``(H, W, 2)`` on the screen."""
        canvas = self._scene.canvas
        x0, y0 = canvas.centre_xy
        scale = canvas.per_unit / self._size_hw[0]
        x, y = to_world(motion(pose, layer.parallax), self._columns, self._size_hw).astype(np.float32)
        x, y = x * np.float32(scale) + np.float32(x0), y * np.float32(scale) + np.float32(y0)
        border = cv2.BORDER_REFLECT_101 if layer is self._scene.gum else cv2.BORDER_CONSTANT
        colour = cv2.remap(layer.colour, x, y, cv2.INTER_LINEAR, borderMode=border)
        if layer.normal is None:
            return colour, None
        return colour, cv2.remap(layer.normal, x, y, cv2.INTER_LINEAR, borderMode=border)

    def _highlights(self, gum: Plane, teeth: Plane, alpha: Plane) -> Plane:
        """Light that the lamp's mirror images add, ``(H, W)``; they stay with the lamp while the surface moves."""
        normal = gum * (1 - alpha[..., None]) + teeth
        gloss = self._scene.gum.gloss + (self._scene.teeth.gloss - self._scene.gum.gloss) * alpha
        off = (normal[..., 0] - self._mirror_x) ** 2 + (normal[..., 1] - self._mirror_y) ** 2
        return np.asarray(230 * gloss * cv2.exp(off * np.float32(-0.5 / self._scene.sharpness**2)), np.float32)
