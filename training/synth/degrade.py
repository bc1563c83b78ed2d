"""Degradations of a cheap wet camera: defocus, light, mist, drops, noise and compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame

from .texture import Plane, smoothstep

_GAMMA = 2.2


@dataclass(frozen=True)
class Drop:
    """A drop on the lens: place, radius and motion per frame in units of the frame's height, and refractive power."""

    x: float
    y: float
    radius: float
    dx: float
    dy: float
    power: float


class Degrader:
    """Degradations of one sequence; each drifts slowly from frame to frame.

    Args:
        seed: of the sequence's degradations.
        frames: length of the sequence.
        size_hw: frame size; lengths scale with its height.
        strength: 0 leaves frames as they are, 1 is the default mixture.
        drops: whether drops sit on the lens.
    """

    def __init__(
        self, seed: np.random.SeedSequence, *, frames: int, size_hw: tuple[int, int], strength: float, drops: bool
    ) -> None:
        look, noise, drop = (np.random.default_rng(child) for child in seed.spawn(3))
        self._noise = noise
        self._size_hw = size_hw
        self._strength = strength
        pixel = size_hw[0] / 240
        self._defocus = strength * pixel * _drift(look, frames, _log_uniform(look, 0.4, 1.6), 0.35)
        self._gain = _drift(look, frames, _log_uniform(look, 0.5, 1.0), 0.08) ** strength
        self._cast = look.uniform(0.82, 1.18, 3) ** strength
        self._contrast = float(_log_uniform(look, 0.8, 1.3)) ** strength
        self._veil = strength * np.clip(_drift(look, frames, look.uniform(0, 0.26), 0.4), 0, 0.6)
        self._veil_bgr = look.uniform(90, 200) * look.uniform(0.85, 1.15, 3)
        self._mist = _blobs(look, size_hw)
        self._shade = _vignette(look, size_hw, strength)
        self._grain = strength * _log_uniform(look, 10.0, 32.0)
        self._quality = 100 - round(strength * look.uniform(10, 60))
        self._soft_grain = bool(look.random() < 0.5)
        self._drops = _place_drops(drop, size_hw) if drops else ()

    def apply(self, picture: Plane, index: int) -> Frame:
        """Degrade frame ``index`` of the sequence, float32 ``(H, W, 3)`` BGR.

        Every call draws new noise, so frames must come in order.
        """
        if self._strength == 0:
            return picture.round().astype(np.uint8)
        if self._defocus[index] > 0.2:
            picture = cv2.GaussianBlur(picture, (0, 0), float(self._defocus[index]))
        levels = np.arange(256) / 255
        tables = [self._tone(levels, self._gain[index] * cast) for cast in self._cast]
        table = np.stack(tables, axis=-1).astype(np.uint8)[None]
        toned = cv2.LUT(picture.round().astype(np.uint8), table).astype(np.float32) * self._shade[..., None]
        veil = (self._veil[index] * self._mist)[..., None]
        toned += veil * (np.asarray(self._veil_bgr, np.float32) - toned)
        for drop in self._drops:
            toned = _refract(toned, drop, index)
        return self._compress(self._add_noise(toned))

    def _tone(self, levels: npt.NDArray[np.float64], gain: float) -> npt.NDArray[np.float64]:
        """Gain in linear light, then the camera's contrast; 0 to 255."""
        linear = np.clip(levels**_GAMMA * gain, 0, 1)
        return np.asarray((linear ** (self._contrast / _GAMMA) * 255).round())

    def _add_noise(self, picture: Plane) -> Plane:
        """Shot noise grows with the light, read noise does not (Foi et al., IEEE TIP 17 (2008), eq. 3)."""
        grain = self._noise.standard_normal(picture.shape, dtype=np.float32)
        if self._soft_grain:
            grain = cv2.GaussianBlur(grain, (3, 3), 0.7) * np.float32(1.9)
        deviation = cv2.sqrt(np.maximum(picture, 0) * np.float32(0.7 / 128) + np.float32(0.3))
        return np.asarray(picture + np.float32(self._grain) * deviation * grain, np.float32)

    def _compress(self, picture: Plane) -> Frame:
        clipped = np.clip(picture, 0, 255).round().astype(np.uint8)
        done, data = cv2.imencode(".jpg", clipped, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        assert done
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _drift(rng: np.random.Generator, frames: int, base: float, share: float) -> npt.NDArray[np.float64]:
    """``base`` with slow changes of up to ``share`` of its value, ``(frames,)``."""
    time = np.arange(frames) / 25
    waves = sum(np.sin(2 * np.pi * rng.uniform(0.1, 1.2) * time + rng.uniform(0, 6.3)) for _ in range(3))
    return np.asarray(base * (1 + share * waves / 3))


def _blobs(rng: np.random.Generator, size_hw: tuple[int, int]) -> Plane:
    """Density of the mist ``(H, W)``: a smooth field, 0 to 1.3."""
    field = cv2.resize(rng.random((4, 5), dtype=np.float32), size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(0.4 + 0.9 * field, 0, 1.3), np.float32)


def _vignette(rng: np.random.Generator, size_hw: tuple[int, int], strength: float) -> Plane:
    """Light that falls off away from a spot, ``(H, W)``, 1 in the spot."""
    height, width = size_hw
    x = np.arange(width, dtype=np.float32) / height - np.float32(rng.uniform(0.35, 0.65) * width / height)
    y = np.arange(height, dtype=np.float32)[:, None] / height - np.float32(rng.uniform(0.35, 0.65))
    return np.asarray(1 / (1 + np.float32(strength * rng.uniform(0.0, 1.5)) * (x * x + y * y)), np.float32)


def _place_drops(rng: np.random.Generator, size_hw: tuple[int, int]) -> tuple[Drop, ...]:
    aspect = size_hw[1] / size_hw[0]
    return tuple(
        Drop(
            float(rng.uniform(0, aspect)),
            float(rng.uniform(0, 1)),
            float(rng.uniform(0.04, 0.16)),
            float(rng.normal(0, 0.001)),
            float(abs(rng.normal(0, 0.003))),
            float(rng.uniform(0.35, 0.8)),
        )
        for _ in range(int(rng.integers(1, 6)))
    )


def _refract(picture: Plane, drop: Drop, index: int) -> Plane:
    """Bend and blur the picture behind a drop, and add the drop's highlight."""
    height, width = picture.shape[:2]
    x0, y0 = (drop.x + index * drop.dx) * height, (drop.y + index * drop.dy) * height
    radius = drop.radius * height
    left, right = max(0, int(x0 - radius)), min(width, int(x0 + radius) + 2)
    top, bottom = max(0, int(y0 - radius)), min(height, int(y0 + radius) + 2)
    if left >= right or top >= bottom:
        return picture
    dx = (np.arange(left, right, dtype=np.float32) - np.float32(x0)) / np.float32(radius)
    dy = (np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y0)) / np.float32(radius)
    square = dx * dx + dy * dy
    bend = np.float32(radius) * (1 - np.float32(drop.power) * (1 - square))
    seen = cv2.remap(picture, x0 + dx * bend, y0 + dy * bend, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    seen = cv2.GaussianBlur(seen, (0, 0), max(0.5, 0.06 * radius))
    seen = seen * (1 - 0.25 * smoothstep((square - 0.6) / 0.4))[..., None]
    seen += 120 * np.exp(-((dx + 0.35) ** 2 + (dy + 0.4) ** 2) / 0.03)[..., None]
    share = smoothstep((1 - square) / 0.25)[..., None]
    out = picture.copy()
    out[top:bottom, left:right] += share * (seen - out[top:bottom, left:right])
    return out
