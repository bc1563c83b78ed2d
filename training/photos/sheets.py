"""The sheets of a clip: a photograph behind, and in many clips a second sheet in front of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mostnet.training.synth.texture import Canvas, fractal, smoothstep
from mostnet.training.synth.tool import paint_tool

from .folder import Photo

#: Canvas pixels per pixel of the view, so that zooming in does not blur.
_OVERSAMPLING = 1.25
#: Size of a canvas, in views.
_EXTENT = 1.5
#: Pixels of the photograph per pixel of the view, at least: more magnification shows no detail.
_LEAST_DETAIL = 0.6
#: Number of pictures without a mouth, of instruments and of outlines that are drawn once.
_BANK = 32
#: BGR of gloves, rubber dams, cotton, steel and lips.
_TINTS = (
    (200, 140, 60),
    (170, 110, 190),
    (90, 150, 60),
    (235, 238, 240),
    (205, 215, 220),
    (150, 150, 150),
    (120, 110, 190),
)


class Sheet(NamedTuple):
    """A sheet of each of N clips.

    Attributes:
        canvas: float32 ``(N, 5, Hc, Wc)``, 0 to 1: BGR times alpha, tooth times alpha, alpha.
        origin: canvas pixel ``(x, y)`` of the world's origin, ``(N, 2)``.
        per_unit: canvas pixels per view height across and down, ``(N, 2)``.
    """

    canvas: Tensor
    origin: Tensor
    per_unit: Tensor


class SheetMaker:
    """Makes the sheets of clips from photographs.

    Args:
        photos: at least one.
        size_hw: of the view.
        no_mouth: share of windows of drawn pictures without a mouth.
        device: the photographs lie on it, and the sheets are made on it.
        seed: of the drawn pictures.
    """

    def __init__(
        self, photos: Sequence[Photo], size_hw: tuple[int, int], *, no_mouth: float, device: torch.device, seed: int
    ) -> None:
        self._size_hw, self._no_mouth, self._device = size_hw, no_mouth, device
        height, width = size_hw
        self.canvas_hw = (round(height * _OVERSAMPLING * _EXTENT), round(width * _OVERSAMPLING * _EXTENT))
        self._photos = [torch.from_numpy(photo.pixels).to(device).permute(2, 0, 1) for photo in photos]
        rng = np.random.default_rng((seed, 1 << 41))
        self._others = [self._load(_no_mouth(rng)) for _ in range(_BANK)]
        per_unit = self.canvas_hw[0] / (_EXTENT * 1.25)
        drawing = Canvas(self.canvas_hw, per_unit)
        self._tools = [self._load(paint_tool(rng, drawing).colour) for _ in range(_BANK)]
        self._outlines = [self._load(_outline(rng, self.canvas_hw)[..., None]) for _ in range(_BANK)]
        self._drawn_per_unit = per_unit

    def _load(self, picture: npt.NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(picture).to(self._device).permute(2, 0, 1)

    def background(self, rng: np.random.Generator, count: int) -> Sheet:
        """Opaque sheets: windows of photographs, and some pictures without a mouth."""
        return _stack([self._window(rng, whole=rng.random() < 0.5) for _ in range(count)])

    def foreground(self, rng: np.random.Generator, count: int, *, share: float) -> Sheet:
        """Sheets of an instrument, a cut-out of another photograph or a patch of one colour; empty in the others."""
        return _stack([self._front(rng) if rng.random() < share else self._empty() for _ in range(count)])

    def _window(self, rng: np.random.Generator, *, whole: bool) -> tuple[Tensor, Tensor, Tensor]:
        """A window of a random photograph: most of it, or a part. Returns the fields of one ``Sheet``."""
        bank = self._others if rng.random() < self._no_mouth else self._photos
        photo = bank[int(rng.integers(len(bank)))]
        high, wide = photo.shape[1:]
        height, width = self._size_hw
        fitting = min(high, wide * height / width)  # the height of the largest view, in pixels of the photograph
        least = min(fitting, _LEAST_DETAIL * height)
        low = fitting * (0.8 if whole else 0.3)
        rows = np.exp(rng.uniform(np.log(max(least, low)), np.log(max(least, fitting * (1.1 if whole else 0.8)))))
        spare_y, spare_x = max(0.0, high - rows), max(0.0, wide - rows * width / height)
        middle = np.array([wide / 2 + rng.uniform(-0.5, 0.5) * spare_x, high / 2 + rng.uniform(-0.5, 0.5) * spare_y])
        reach = _EXTENT / 2 * np.array([rows * width / height, rows])
        start = np.clip(np.floor(middle - reach), 0, None).astype(int)
        stop = np.minimum(np.ceil(middle + reach), [wide, high]).astype(int)
        part = photo[:, start[1] : stop[1], start[0] : stop[0]][None].float() / 255
        canvas = F.interpolate(part, self.canvas_hw, mode="bilinear", antialias=True)[0].clamp(0, 1)
        scale = np.array(self.canvas_hw[::-1]) / (stop - start)
        origin = (middle - start) * scale - 0.5
        for axis in range(2):
            if rng.random() < 0.5:
                canvas = canvas.flip(2 - axis)
                origin[axis] = self.canvas_hw[1 - axis] - 1 - origin[axis]
        opaque = torch.cat([canvas, torch.ones_like(canvas[:1])])
        return opaque, self._vector(origin), self._vector(scale * rows)

    def _front(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        kind = rng.random()
        if kind < 0.4:
            tool = self._tools[int(rng.integers(_BANK))].float() / 255
            canvas = torch.cat([tool[:3], torch.zeros_like(tool[:1]), tool[3:]])
            return canvas, *self._placed(rng, 0.0, (0.8, 1.3))
        alpha = self._outlines[int(rng.integers(_BANK))].float() / 255
        paint, *_ = self._window(rng, whole=False)
        if kind >= 0.7:
            tint = np.asarray(_TINTS[int(rng.integers(len(_TINTS)))]) / 255 * rng.uniform(0.6, 1.1)
            relief = paint[:3].mean(0, keepdim=True)
            relief = relief / relief.mean().clamp_min(0.05)
            share = rng.uniform(0.1, 0.5)
            coloured = self._vector(tint).view(3, 1, 1) * (1 + share * (relief - 1))
            paint = torch.cat([coloured.clamp(0, 1), torch.zeros_like(paint[3:4])])
        return torch.cat([paint[:4] * alpha, alpha]), *self._placed(rng, 0.35, (0.5, 1.6))

    def _placed(self, rng: np.random.Generator, spread: float, size: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """Origin and scale of a sheet whose middle lies off the middle of the view, ``spread`` in view heights."""
        per_unit = self._drawn_per_unit * rng.uniform(*size)
        middle = (np.array(self.canvas_hw[::-1]) - 1) / 2
        return self._vector(middle + per_unit * rng.normal(0, spread, 2)), self._vector(np.array([per_unit, per_unit]))

    def _empty(self) -> tuple[Tensor, Tensor, Tensor]:
        one = self._vector(np.ones(2))
        return torch.zeros(5, *self.canvas_hw, device=self._device), one, one

    def _vector(self, values: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self._device)


def _stack(parts: list[tuple[Tensor, Tensor, Tensor]]) -> Sheet:
    return Sheet(*(torch.stack(part) for part in zip(*parts, strict=True)))


def _no_mouth(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A fractal or a dead-leaves picture ``(480, 640, 4)`` in any colours; no pixel is a tooth."""
    size = (480, 640)
    base = rng.uniform(20, 235, 3)
    if rng.random() < 0.5:
        canvas = Canvas(size, 480.0)
        cell, decay = np.exp(rng.uniform(np.log(0.05), np.log(0.6))), rng.uniform(0.4, 0.8)
        planes = [fractal(rng, canvas, cell=cell, octaves=6, decay=decay) for _ in range(2)]
        mixing = rng.normal(0, 1, (2, 3)) * rng.uniform(5, 45)
        picture = base + planes[0][..., None] * mixing[0] + planes[1][..., None] * mixing[1]
    else:
        picture = np.full((*size, 3), base)
        for radius in np.sort(2.0 + 4.0 / rng.random(400) ** 0.8)[::-1]:  # many small discs over a few large ones
            place = (int(rng.integers(size[1])), int(rng.integers(size[0])))
            colour = base + rng.normal(0, 60, 3) if rng.random() < 0.7 else rng.uniform(0, 255, 3)
            cv2.circle(picture, place, int(min(radius, 200)), colour.tolist(), -1, cv2.LINE_AA)
        picture = picture + rng.normal(0, 1) * fractal(rng, Canvas(size, 480.0), cell=0.05)[..., None] * 6
    pixels = np.clip(picture, 0, 255).astype(np.uint8)
    return np.dstack([pixels, np.zeros(size, np.uint8)])


def _outline(rng: np.random.Generator, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Alpha of a patch in the middle of a canvas: a rounded shape with a wavy edge, uint8 ``(H, W)``."""
    canvas = Canvas(size_hw, float(size_hw[0]))
    x, y = canvas.grid()
    angle, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(0, 1.2))
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    radius = np.hypot(u / stretch**0.5, v * stretch**0.5) / rng.uniform(0.15, 0.3)
    wave = rng.uniform(0, 0.3) * fractal(rng, canvas, cell=0.3, octaves=3)
    soft = rng.uniform(1.5, 6) / size_hw[0] * 5
    return np.asarray(smoothstep((1 - radius + wave) / soft) * 255, np.uint8)
