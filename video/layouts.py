"""Compose the shown picture from a frame and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from mostnet.contract import ENHANCED, FLOW, FOREGROUND, FRAME, MASK, Frame, OutputName, VideoError
from mostnet.engine import Output

from .flow_colour import flow_picture
from .text import text_scale, write_text

#: Hardware H.264 decoders stop at a side of 4096 pixels.
MAX_SIDE = 3840

_TOOTH_BGR = (200, 220, 40)
_TINT = 0.35


@dataclass(frozen=True)
class Layout:
    """One way to show a result.

    Attributes:
        needs: the engine outputs that it draws.
        tiles: rows and columns of frame-sized pictures.
        compose: makes the picture, uint8 BGR, from (frame, output, flow scale in pixels, whether it is steadied), all
            of one size.
        shows_input: whether it draws the frame itself; if not, ``compose`` takes None for it.
        moved_picture: the picture that a stabiliser moves, ``enhanced`` or ``frame``; None if it moves none.
    """

    needs: tuple[OutputName, ...]
    tiles: tuple[int, int]
    compose: Callable[[Frame | None, Output, float, bool], Frame]
    shows_input: bool
    moved_picture: str | None = None

    def size_hw(self, frame_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the picture for frames of ``frame_hw``: its tiles, shrunk to ``MAX_SIDE``."""
        return _limited((frame_hw[0] * self.tiles[0], frame_hw[1] * self.tiles[1]))

    def outputs(self, *, stabilise: bool) -> tuple[OutputName, ...]:
        """The engine outputs that the layout and, if there is one, the stabiliser need."""
        steadying: tuple[OutputName, ...] = (FLOW, MASK) if stabilise else ()
        return tuple(dict.fromkeys((*self.needs, *steadying)))

    def remark(self, frame_hw: tuple[int, int]) -> str | None:
        """A sentence if the picture is shrunk to ``MAX_SIDE``, else None."""
        whole = (frame_hw[0] * self.tiles[0], frame_hw[1] * self.tiles[1])
        shown = self.size_hw(frame_hw)
        if shown == whole:
            return None
        return (
            f"the picture of {whole[0]}x{whole[1]} is shrunk to {shown[0]}x{shown[1]}, because many players stop at a "
            f"side of {MAX_SIDE} pixels"
        )

    def draw(self, frame: Frame | None, output: Output, *, flow_max_px: float, steadied: bool = False) -> Frame:
        """Compose the picture at ``size_hw`` of the frame; the frame may be None if the layout does not show it.

        ``steadied`` says so in the caption of the enhanced picture.

        Raises:
            VideoError: the engine was opened without an output that this layout needs.
        """
        assert frame is not None or not self.shows_input, "the caller keeps the frames of a layout that shows them"
        missing = [name for name in self.needs if name not in output.names]
        if missing:
            raise VideoError(f"this layout draws {', '.join(missing)}; open the Engine with outputs={self.needs!r}")
        picture = self.compose(frame, output, flow_max_px, steadied)
        height, width = _limited((picture.shape[0], picture.shape[1]))
        if (height, width) == picture.shape[:2]:
            return picture
        shrunk: Frame = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        return shrunk


def enhanced(frame: Frame | None, output: Output, flow_max_px: float, steadied: bool) -> Frame:
    """The enhanced picture alone, ``(H, W, 3)``."""
    return output.enhanced


def original(frame: Frame | None, output: Output, flow_max_px: float, steadied: bool) -> Frame:
    """The frame alone, ``(H, W, 3)``."""
    assert frame is not None
    return frame


def side_by_side(frame: Frame | None, output: Output, flow_max_px: float, steadied: bool) -> Frame:
    """Input left, enhanced right, ``(H, 2W, 3)``."""
    assert frame is not None
    result = caption(output.enhanced, "enhanced, steadied" if steadied else "enhanced")
    return np.hstack([caption(frame, "input"), result])


def flow(frame: Frame | None, output: Output, flow_max_px: float, steadied: bool) -> Frame:
    """Backward flow on the colour wheel, ``(H, W, 3)``, with the length of full saturation in the corner."""
    picture = flow_picture(output.flow, max_px=flow_max_px)
    return caption(picture, f"flow, full colour = {flow_max_px:.1f} px")


def mask(frame: Frame | None, output: Output, flow_max_px: float, steadied: bool) -> Frame:
    """The frame with the teeth tinted and outlined, ``(H, W, 3)``."""
    assert frame is not None
    teeth = (output.mask >= FOREGROUND).astype(np.uint8)
    tinted = cv2.addWeighted(frame, 1 - _TINT, np.full_like(frame, _TOOTH_BGR), _TINT, 0)
    picture = np.where(teeth[..., None] != 0, tinted, frame)
    outlines, _ = cv2.findContours(teeth, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, _TOOTH_BGR, max(1, round(frame.shape[0] / 400)))
    return picture


def grid(frame: Frame | None, output: Output, flow_max_px: float, steadied: bool) -> Frame:
    """Input and enhanced above flow and mask, ``(2H, 2W, 3)``."""
    teeth = caption(mask(frame, output, flow_max_px, steadied), "teeth")
    lower = np.hstack([flow(frame, output, flow_max_px, steadied), teeth])
    return np.vstack([side_by_side(frame, output, flow_max_px, steadied), lower])


LAYOUTS = {
    "enhanced": Layout((ENHANCED,), (1, 1), enhanced, shows_input=False, moved_picture=ENHANCED),
    "original": Layout((), (1, 1), original, shows_input=True, moved_picture=FRAME),
    "side-by-side": Layout((ENHANCED,), (1, 2), side_by_side, shows_input=True, moved_picture=ENHANCED),
    "flow": Layout((FLOW,), (1, 1), flow, shows_input=False),
    "mask": Layout((MASK,), (1, 1), mask, shows_input=True),
    "grid": Layout((ENHANCED, FLOW, MASK), (2, 2), grid, shows_input=True, moved_picture=ENHANCED),
}


def caption(picture: Frame, text: str) -> Frame:
    """A copy of ``picture`` with small white text in its upper left corner, legible on any background."""
    picture = picture.copy()
    scale = text_scale(picture.shape[:2])
    write_text(picture, text, (255, 255, 255), scale, (round(14 * scale), round(32 * scale)))
    return picture


def _limited(size_hw: tuple[int, int]) -> tuple[int, int]:
    longest = max(size_hw)
    if longest <= MAX_SIDE:
        return size_hw
    return round(size_hw[0] * MAX_SIDE / longest), round(size_hw[1] * MAX_SIDE / longest)
