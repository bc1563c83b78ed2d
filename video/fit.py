"""Fit the frames of a video into the frame of an engine, and the engine's results back, without distortion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import ENHANCED, FLOW, MASK, MIN_SIDE, Frame
from mostnet.contract.arguments import size_text
from mostnet.engine import Output

from .resize import SizeHw, resize_flow, resize_picture

#: Shapes that differ by less than this share count as equal: the picture then fills the engine's frame.
_SAME_SHAPE = Fraction(1, 100)
#: A picture that is scaled down by more than this factor comes back visibly softer.
_SOFT = 1.1
#: A suggested size is a multiple of this, so that the network pads little.
_STEP = 8


@dataclass(frozen=True)
class FrameFit:
    """Where a video's picture lies in the engine's frame.

    The picture keeps its displayed shape. If the engine's frame has another shape, the mirrored picture fills the
    margins: black ones make the network brighten the picture. Nobody sees them, because only the picture comes back.

    Attributes:
        frame_hw: height and width of the video's frames, in pixels.
        engine_hw: height and width of the engine's frames; their pixels are square.
        pixel_aspect: width over height of one pixel of the video.
    """

    frame_hw: SizeHw
    engine_hw: SizeHw
    pixel_aspect: Fraction = Fraction(1)

    @property
    def shape(self) -> Fraction:
        """Width over height of the picture as it is displayed."""
        return Fraction(self.frame_hw[1], self.frame_hw[0]) * self.pixel_aspect

    @property
    def content_hw(self) -> SizeHw:
        """Height and width of the picture inside the engine's frame, in pixels."""
        height, width = self.engine_hw
        ratio = self.shape * height / width
        if abs(ratio - 1) < _SAME_SHAPE:
            return self.engine_hw
        if ratio > 1:
            return max(1, round(height / ratio)), width
        return height, max(1, round(width * ratio))

    @property
    def has_margins(self) -> bool:
        """Whether the picture leaves a part of the engine's frame empty."""
        return self.content_hw != self.engine_hw

    def to_engine(self, frame: Frame) -> Frame:
        """The frame, uint8 ``(H, W, 3)``, at the engine's size, C-contiguous, centred between margins if need be."""
        picture = resize_picture(frame, self.content_hw)
        if not self.has_margins:
            return np.ascontiguousarray(picture)
        rows, columns = self._content()
        sides = (rows.start, self.engine_hw[0] - rows.stop, columns.start, self.engine_hw[1] - columns.stop)
        framed: Frame = cv2.copyMakeBorder(picture, *sides, cv2.BORDER_REFLECT_101)
        return framed

    def back(self, output: Output) -> Output:
        """The engine's result without the margins, at ``frame_hw``; without the outputs that it lacks."""
        return output.replace(
            enhanced=self._picture_back(output.enhanced) if ENHANCED in output.names else None,
            flow=self._flow_back(output.flow) if FLOW in output.names else None,
            mask=self._picture_back(output.mask) if MASK in output.names else None,
        )

    def remarks(self) -> list[str]:
        """One sentence for each way in which the engine's size changes what a person sees."""
        found = []
        frame, engine = _text(self.frame_hw), _text(self.engine_hw)
        if self.has_margins:
            used = self.content_hw[0] * self.content_hw[1] / (self.engine_hw[0] * self.engine_hw[1])
            fitting = size_text(self._like_engine())
            found.append(
                f"frames of {frame}{self._pixels()} do not have the shape of the engine's {engine}: the picture "
                f"keeps its shape and uses {used:.0%} of it; an engine of --size {fitting} is used whole"
            )
        if any(side > _SOFT * part for side, part in zip(self.frame_hw, self.content_hw, strict=True)):
            found.append(
                f"frames of {frame} go through an engine of {engine} at {_text(self.content_hw)} and come back softer; "
                f"an engine of --size {size_text(self._like_frame())} keeps the detail, at more time per frame"
            )
        return found

    def _pixels(self) -> str:
        return "" if self.pixel_aspect == 1 else f" (pixels {self.pixel_aspect} as wide as high)"

    def _like_engine(self) -> SizeHw:
        """The video's shape at about the engine's number of pixels, but no larger than the picture as displayed."""
        height, width = self.frame_hw
        shown = height * width * float(max(self.pixel_aspect, 1 / self.pixel_aspect))
        return self.of_area(min(self.engine_hw[0] * self.engine_hw[1], shown))

    def _like_frame(self) -> SizeHw:
        """The video's shape at about the video's number of pixels."""
        return self.of_area(self.frame_hw[0] * self.frame_hw[1])

    def of_area(self, area: float) -> SizeHw:
        """A size of the video's shape with about ``area`` pixels, a multiple of ``_STEP`` if this keeps the shape."""
        height = _stepped((area / float(self.shape)) ** 0.5)
        stepped = height, _stepped(height * float(self.shape))
        if replace(self, engine_hw=stepped).has_margins:
            return height, max(MIN_SIDE, round(height * self.shape))
        return stepped

    def _content(self) -> tuple[slice, slice]:
        """Rows and columns of the picture inside the engine's frame."""
        rows, columns = (
            slice((whole - part) // 2, (whole - part) // 2 + part)
            for whole, part in zip(self.engine_hw, self.content_hw, strict=True)
        )
        return rows, columns

    def _picture_back(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return resize_picture(picture[self._content()], self.frame_hw)

    def _flow_back(self, flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return resize_flow(flow[(slice(None), *self._content())], self.frame_hw)


def _stepped(side: float) -> int:
    return max(MIN_SIDE, round(side / _STEP) * _STEP)


def _text(size_hw: SizeHw) -> str:
    return f"{size_hw[0]}x{size_hw[1]}"
