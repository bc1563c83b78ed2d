"""The lamp of a moved photograph: exposure flicker, flashes of the whole picture, and specular spots."""

from __future__ import annotations

import cv2
import numpy as np

from mostnet.training.synth.texture import Plane
from mostnet.video.steady.similarity import Similarity, centre_of

_FLICKER = 0.03
_FLASH_SHARE, _FLASH_GAIN = 0.015, 1.5
_SPOTS = 6
#: Share of the frames in which a spot shines, and how much its size varies.
_SPOT_SHARE, _SPOT_CHANGE = 0.85, 0.1
#: A highlight sits between the lamp, which the camera carries, and the tooth: it makes half of the tooth's motion.
_SPOT_PARALLAX = 0.5


class Lamp:
    """Light that changes from frame to frame. Every call draws new numbers, so frames must come in order."""

    def __init__(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> None:
        self._rng = rng
        self._size_hw = size_hw
        height, width = size_hw
        # Spots are spread over twice the frame, because they move through it.
        self._places = width * rng.uniform(-1, 1, _SPOTS) + 1j * height * rng.uniform(-1, 1, _SPOTS)
        self._radii = height * np.exp(rng.uniform(np.log(0.004), np.log(0.02), _SPOTS))

    def shine(self, picture: Plane, pose: Similarity) -> Plane:
        """Light a picture, float32 ``(H, W, 3)``, whose camera is at ``pose``."""
        gain = 1 + _FLICKER * self._rng.normal()
        if self._rng.random() < _FLASH_SHARE:
            gain *= _FLASH_GAIN
        lit = picture * np.float32(max(gain, 0.5))
        seen = self._places - _SPOT_PARALLAX * pose.b + centre_of(self._size_hw)
        for place, radius in zip(seen, self._radii, strict=True):
            if self._rng.random() < _SPOT_SHARE:
                _add_spot(lit, place, radius * (1 + _SPOT_CHANGE * self._rng.normal()))
        return np.clip(lit, 0, 255)


def _add_spot(picture: Plane, place: complex, radius: float) -> None:
    """Add a white spot with soft edges, in place."""
    height, width = picture.shape[:2]
    reach = 2.5 * radius
    top, bottom = max(0, int(place.imag - reach)), min(height, int(place.imag + reach) + 1)
    left, right = max(0, int(place.real - reach)), min(width, int(place.real + reach) + 1)
    if top >= bottom or left >= right:
        return
    y = (np.arange(top, bottom) - place.imag)[:, None] / radius
    x = (np.arange(left, right) - place.real) / (1.5 * radius)
    level = (220 * np.exp(-(x * x + y * y))).astype(np.float32)
    picture[top:bottom, left:right] += cv2.merge([level] * 3)
