"""Exact backward flow, its validity, and the teeth's similarity motion, under a rolling shutter in both frames."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .camera_path import Array
from .render import TOOTH, motion, to_screen, to_world

#: Rows are followed this far out of the frame, as a fraction of its height.
MARGIN = 0.25
#: Columns between which flow is interpolated: along a row it is a smooth function.
_STEP = 8
_ITERATIONS = 16
_TOLERANCE_PX = 1e-3
_SOLVED_PX = 0.02
#: Rounding must not put the edge of a still frame outside of it.
_EDGE_PX = 1e-3
#: The similarity is fitted to the teeth if they fill at least this fraction of the frame.
_ENOUGH_TOOTH = 0.005


def margin_rows(height: int) -> int:
    """Number of rows beyond either edge of the frame whose poses are needed."""
    return round(MARGIN * height)


def layer_flow(
    now: Array, before: Array, parallax: float, size_hw: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Backward flow of a layer over the whole frame, float32 ``(2, H, W)`` in pixels, and where it is solved, bool.

    If the picture moves down as fast as the shutter, the previous frame shows a point never or many times. Such pixels
    are not solved.

    Args:
        now: pose of each row of the current frame, ``(4, H)``.
        before: poses of the previous frame's rows and of ``margin_rows`` beyond either edge, ``(4, H + 2 margin)``.
        parallax: of the layer.
        size_hw: of the frame.
    """
    height, width = size_hw
    columns = np.linspace(0, width - 1, width // _STEP + 1)
    world = to_world(motion(now, parallax), columns, size_hw)
    place = np.stack(np.broadcast_arrays(columns, np.arange(height, dtype=np.float64)[:, None]))
    found, error = _follow(world, motion(before, parallax), place[1], size_hw)
    fine = np.arange(width) / (width - 1) * (len(columns) - 1)
    weights = np.clip(1 - np.abs(fine - np.arange(len(columns))[:, None]), 0, 1)
    return np.asarray((found - place) @ weights, np.float32), (error > _SOLVED_PX) @ weights == 0


def _follow(world: Array, rows: Array, guess: Array, size_hw: tuple[int, int]) -> tuple[Array, Array]:
    """Positions of world points in the previous frame, and their error in pixels.

    By iteration: the row of a point sets the pose, and the pose sets the row.
    """
    margin = margin_rows(size_hw[0])
    y = guess
    for _ in range(_ITERATIONS):
        at = np.clip(y + margin, 0, rows.shape[1] - 1.001)
        below = at.astype(np.intp)
        share = at - below
        found = to_screen(world, rows[:, below] * (1 - share) + rows[:, below + 1] * share, size_hw)
        error = np.abs(found[1] - y)
        y = found[1]
        if error.max() < _TOLERANCE_PX:
            break
    return found, error


def validity(
    flow: npt.NDArray[np.float32], surface: npt.NDArray[np.uint8], surface_before: npt.NDArray[np.uint8]
) -> npt.NDArray[np.bool_]:
    """Bool ``(H, W)``: the pixel's content is inside the previous frame, and the same surface is in front there."""
    height, width = surface.shape
    x = flow[0] + np.arange(width, dtype=np.float32)
    y = flow[1] + np.arange(height, dtype=np.float32)[:, None]
    inside = (x > -_EDGE_PX) & (x < width - 1 + _EDGE_PX) & (y > -_EDGE_PX) & (y < height - 1 + _EDGE_PX)
    seen = cv2.remap(surface_before, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=255)
    return np.asarray(inside & (seen == surface))


def tooth_similarity(tooth_flow: npt.NDArray[np.float32], surface: npt.NDArray[np.uint8]) -> Array:
    """Least-squares similarity of the tooth layer's motion, current to previous frame, as ``(2, 3)``.

    It is fitted to the visible tooth pixels, or to the whole plane of the teeth if hardly any are visible.
    """
    chosen = surface == TOOTH
    if chosen.mean() < _ENOUGH_TOOTH:
        chosen = np.ones_like(chosen)
    y, x = np.nonzero(chosen)
    here = x + 1j * y
    there = here + tooth_flow[0][chosen] + 1j * tooth_flow[1][chosen].astype(np.float64)
    # A similarity is multiplication and addition of complex numbers.
    spread = here - here.mean()
    turn = np.vdot(spread, there - there.mean()) / np.vdot(spread, spread)
    shift = there.mean() - turn * here.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
