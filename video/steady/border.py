"""Crop the steady view, or fill the part of it that lies outside the frame."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame
from mostnet.video.steady.shutter.rows import RowSkew, warp_rows

from .room import SHIFT_SHARE, half_sides, shift_room
from .similarity import Similarity

#: ``crop`` zooms in, so that every pixel comes from this frame. ``replicate`` and ``history`` show the whole view and
#: fill its border with the frame's outermost pixels or with earlier frames.
BORDERS = ("crop", "replicate", "history")

#: Share of the room from which on a soft limit slows the shift.
SOFT_KNEE = 0.7
_BISECTIONS = 10


def limited(view: Similarity, size_hw: tuple[int, int], crop: float, *, knee: float = 1.0) -> Similarity:
    """The nearest view to ``view`` whose rectangle, ``1 - crop`` of the frame, lies inside the frame.

    Rotation and zoom are reduced first, then each axis of the shift on its own. A ``knee`` below 1 slows the shift from
    this share of its room on. Without it, a view that is not planned within the crop would let vibration through
    during every pan that reaches the limit.
    """
    half_w, half_h = half_sides(size_hw)

    def fits(gain: float) -> bool:
        room_x, room_y = shift_room(Similarity(view.a).part(gain).a, size_hw, crop)
        return bool(min(room_x / half_w, room_y / half_h) >= SHIFT_SHARE * crop)

    gain = 1.0
    if not fits(1.0):
        gain, too_much = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (gain + too_much) / 2
            gain, too_much = (middle, too_much) if fits(middle) else (gain, middle)
    rate = Similarity(view.a).part(gain).a
    room_x, room_y = (float(room) for room in shift_room(rate, size_hw, crop))
    return Similarity(rate, complex(_within(view.b.real, room_x, knee), _within(view.b.imag, room_y, knee)))


def zoomed(view: Similarity, border: str, crop: float) -> Similarity:
    """The transform that takes points of the shown picture to points of the frame."""
    return view if border != "crop" else Similarity((1 - crop) + 0j).then(view)


def warp(
    picture: Frame, matrix: npt.NDArray[np.float64], *, rows: RowSkew | None = None, onto: Frame | None = None
) -> Frame:
    """Warp a picture ``(H, W, 3)`` by a forward matrix ``(2, 3)``; fill with its outermost pixels or with ``onto``.

    With ``rows``, the skew of its rows is undone in the same resampling.
    """
    if rows is not None:
        return warp_rows(picture, matrix, rows, onto=onto)
    size = (picture.shape[1], picture.shape[0])
    if onto is None:
        moved: Frame = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return moved
    return np.asarray(
        cv2.warpAffine(picture, matrix, size, dst=onto, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    )


class BorderHistory:
    """Fills the border from the picture shown last, which may contain parts of the scene that left the frame."""

    def __init__(self) -> None:
        self._last: Frame | None = None

    def fill(
        self,
        picture: Frame,
        matrix: npt.NDArray[np.float64],
        drift: npt.NDArray[np.float64] | None,
        *,
        rows: RowSkew | None = None,
    ) -> Frame:
        """Warp ``picture`` and fill its border from the last result, moved by ``drift``; None: from ``picture``."""
        if self._last is None or drift is None or self._last.shape != picture.shape:
            shown = warp(picture, matrix, rows=rows)
        else:
            shown = warp(picture, matrix, rows=rows, onto=warp(self._last, drift))
        self._last = shown
        return shown.copy()


def _within(value: float, room: float, knee: float) -> float:
    if room <= 0:
        return 0.0
    share = abs(value) / room
    if share > knee:
        share = knee + (1 - knee) * math.tanh((share - knee) / (1 - knee)) if knee < 1 else 1.0
    return math.copysign(share * room, value)
