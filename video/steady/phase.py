"""The shift between two whole pictures by phase correlation (Kuglin and Hines, 1975).

The phases of the cross-power spectrum are weighted by a Gaussian, so that its peak is a Gaussian too: a parabola
through the logarithms of three values gives its place between the pixels.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Spectrum = npt.NDArray[np.complexfloating]

#: Deviation of the peak, in pixels.
_PEAK_PX = 1.0
#: A peak below this multiple of the highest that unrelated pictures are expected to have is no response.
_CLEAR = 2.0
_TINY = 1e-3


class PhaseCorrelator:
    """Finds the shift between pictures of one size, far below a pixel for a rigid shift.

    A fixed pattern, such as a burnt-in text or an instrument before the lens, attracts the peak to zero shift.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        """``size_hw``: size of the pictures."""
        height, width = size_hw
        self._size_hw = size_hw
        window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
        self._window = window.astype(np.float32)
        square = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2
        weight = np.exp(-2 * (math.pi * _PEAK_PX) ** 2 * square)
        peak = float(np.fft.irfft2(weight, s=size_hw).max())
        self._weight = (weight / peak).astype(np.float32)
        # The highest of N independent normal values is about sqrt(2 ln N) deviations.
        deviation = float(np.sqrt((np.fft.irfft2(self._weight, s=size_hw) ** 2).sum() / (height * width)))
        self.least_response = _CLEAR * deviation * math.sqrt(2 * math.log(height * width))

    def spectrum(self, grey: npt.NDArray[np.uint8]) -> Spectrum:
        """The spectrum of a picture, uint8 ``(H, W)``, for ``shift``."""
        level = grey.astype(np.float32)
        return np.asarray(np.fft.rfft2((level - level.mean()) * self._window))

    def shift(self, before: Spectrum, now: Spectrum) -> complex | None:
        """The shift ``x + iy`` in pixels that takes the picture ``before`` to ``now``; None without a clear response.

        Unrelated pictures have none, neither have pictures without content.
        """
        cross = now * before.conj()
        surface = np.fft.irfft2(cross / (np.abs(cross) + _TINY) * self._weight, s=self._size_hw)
        row, column = divmod(int(surface.argmax()), surface.shape[1])
        if surface[row, column] < self.least_response:
            return None
        height, width = self._size_hw
        across = surface[row, [column - 1, column, (column + 1) % width]]
        along = surface[[row - 1, row, (row + 1) % height], column]
        return complex(_wrapped(column + _vertex(across), width), _wrapped(row + _vertex(along), height))


def _vertex(values: npt.NDArray[np.floating]) -> float:
    """Place of a Gaussian's peak relative to the middle of three values, in steps."""
    left, middle, right = np.log(np.maximum(values, 1e-6))
    bend = left - 2 * middle + right
    return float((left - right) / (2 * bend)) if bend < 0 else 0.0


def _wrapped(place: float, length: int) -> float:
    """A place on a circle as a distance from zero, at most half of the length either way."""
    return place - length if place > length / 2 else place
