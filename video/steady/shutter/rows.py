"""Undo the skew of a rolling shutter while warping: each row of a frame was exposed at its own time."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame
from mostnet.video.steady.similarity import Points, Similarity, centre_of

#: Rows that share one affine matrix. Within so few, the skew differs from it by some hundredths of a pixel.
_BAND = 8


class RowSkew(NamedTuple):
    """Where the points of a frame would be, had all rows been exposed at the time of the middle row.

    A point ``z = x + iy``, in pixels from the centre, moves by ``y (rate z + shift) - (held_rate z + held_shift)``. The
    second part is the similarity nearest to the first. The camera's measured motion already holds it.

    Attributes:
        rate, shift: change of scale and angle, and shift in pixels, from one row to the next.
        held_rate, held_shift: the similarity that is left out.
    """

    rate: complex
    shift: complex
    held_rate: complex
    held_shift: complex

    def part(self, gain: float) -> RowSkew:
        """This skew with all displacements multiplied by ``gain``, 0 to 1."""
        return RowSkew(*(gain * value for value in self))

    def displacement(self, points: Points) -> Points:
        """How far each point of the frame moves, complex, in pixels."""
        found: Points = points.imag * (self.rate * points + self.shift) - self.held_rate * points - self.held_shift
        return found

    def furthest_px(self, size_hw: tuple[int, int]) -> float:
        """The largest displacement at the frame's corners and the middles of its edges."""
        edge = centre_of(size_hw)
        x, y = np.meshgrid([-edge.real, 0, edge.real], [-edge.imag, 0, edge.imag])
        return float(np.abs(self.displacement(x + 1j * y)).max())


def warp_rows(picture: Frame, matrix: npt.NDArray[np.float64], skew: RowSkew, *, onto: Frame | None = None) -> Frame:
    """Undo ``skew`` and warp a picture ``(H, W, 3)`` by a similarity's forward matrix ``(2, 3)``, in one resampling.

    Fills with the picture's outermost pixels, or with ``onto``, which it overwrites and returns.
    """
    border = cv2.BORDER_REPLICATE if onto is None else cv2.BORDER_TRANSPARENT
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shown: Frame = np.empty_like(picture) if onto is None else onto
    height, width = picture.shape[:2]
    for top, back in zip(range(0, height, _BAND), _band_matrices(matrix, skew, (height, width)), strict=True):
        band = shown[top : top + _BAND]
        cv2.warpAffine(picture, back, (width, len(band)), dst=band, flags=flags, borderMode=border)
    return shown


def _band_matrices(matrix: npt.NDArray[np.float64], skew: RowSkew, size_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    """For each band of rows of the shown picture, ``(bands, 2, 3)`` from its pixels to pixels of the frame.

    A point of the band that lies ``w`` from the band's middle lies ``along w + across conj(w)`` from it in the frame.
    """
    back = Similarity.of_matrix(matrix, size_hw).inverse()
    centre = centre_of(size_hw)
    corner = complex(centre.real, (_BAND - 1) / 2)  # from the band's first pixel to its middle
    middle = back.a * 1j * (np.arange(0, size_hw[0], _BAND) + corner.imag - centre.imag) + back.b
    lean = (skew.rate * middle + skew.shift) / 2j  # y is (z - conj z) / 2i
    along = (1 - lean - middle.imag * skew.rate + skew.held_rate) * back.a
    across = lean * np.conj(back.a)
    place: Points = np.asarray(middle, np.complex128)
    start = place - skew.displacement(place) + centre - along * corner - across * np.conj(corner)
    x = [(along + across).real, (across - along).imag, start.real]
    y = [(along + across).imag, (along - across).real, start.imag]
    return np.ascontiguousarray(np.array([x, y]).transpose(2, 0, 1))
