"""Room that the crop leaves for the view: how far it may shift, turn and zoom before it touches the frame's edge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .similarity import Similarity

#: Share of the crop that rotation and zoom leave for the shift at least, and shares that they may use themselves.
SHIFT_SHARE = 0.4
_ZOOM_SHARE, _TURN_SHARE = 0.2, 0.4


def margin_px(size_hw: tuple[int, int], crop: float) -> float:
    """Shift that the crop allows on the tighter axis, in pixels."""
    return min(size_hw) * crop / 2


def half_sides(size_hw: tuple[int, int]) -> tuple[float, float]:
    """Distance of the outermost pixels from the centre, in x and y; half a pixel if there is only one."""
    return max(size_hw[1] - 1, 1) / 2, max(size_hw[0] - 1, 1) / 2


def rate_room(size_hw: tuple[int, int], crop: float) -> tuple[float, float]:
    """Largest log-scale and angle of a view that leave ``SHIFT_SHARE`` of the crop."""
    return _ZOOM_SHARE * crop, _TURN_SHARE * crop * min(size_hw) / max(size_hw)


def shift_room(
    rates: complex | npt.NDArray[np.complex128], size_hw: tuple[int, int], crop: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Shift in x and y at which the turned, zoomed and cropped rectangle touches the frame's edge, in pixels."""
    half_w, half_h = half_sides(size_hw)
    turned = np.asarray(rates, np.complex128) * (1 - crop)
    across, along = np.abs(turned.real), np.abs(turned.imag)
    return half_w - across * half_w - along * half_h, half_h - across * half_h - along * half_w


def used(view: Similarity, size_hw: tuple[int, int], crop: float) -> float:
    """Share of the room that a view uses, the largest of shift in x and y, zoom and angle."""
    zoom_room, turn_room = rate_room(size_hw, crop)
    room_x, room_y = shift_room(view.a, size_hw, crop)
    shares = (view.b.real / room_x, view.b.imag / room_y, np.log(view.scale) / zoom_room, view.angle / turn_room)
    return max(abs(float(share)) for share in shares)
