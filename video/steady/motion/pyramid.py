"""Small grey pictures of a frame, at which motions are compared and refined."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import Frame
from mostnet.video.steady.similarity import Points, Similarity

Picture = npt.NDArray[np.float32]
Grey = npt.NDArray[np.uint8]
AnyGrey = TypeVar("AnyGrey", Grey, Picture)

#: Pixels of the fine picture: half of 480x640 each way. A smaller frame keeps its size.
_FINE_PIXELS = 240 * 320
#: The coarse picture is smaller by this factor each way; the picture for tracks and dense flow by the next.
_COARSE, _TRACKED = 3, 2
#: The local mean that is subtracted covers this share of the width, so that exposure and uneven light do not count.
_MEAN_SHARE = 0.12
#: Grey level outside the picture. It is so far off that no comparison uses it.
OUTSIDE = 1e4


class Grid(NamedTuple):
    """Where the samples of a level lie in the frame: sample ``k`` of an axis at pixel ``first + k * step``."""

    size_hw: tuple[int, int]
    step_yx: tuple[float, float]
    first_yx: tuple[float, float]

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """From sample numbers to pixels of the frame, float64 ``(3, 3)``."""
        (step_y, step_x), (first_y, first_x) = self.step_yx, self.first_yx
        return np.array([[step_x, 0, first_x], [0, step_y, first_y], [0, 0, 1.0]])


class Level:
    """A picture less its local mean, and samples of it that are compared.

    Attributes:
        samples: float32 ``(h, w)``, every ``stride``-th pixel of the picture.
        grid: where they lie in the frame.
        frame_hw: size of the frame.
    """

    def __init__(
        self, small: Picture, frame_hw: tuple[int, int], *, stride: int = 1, pattern: Picture | None = None
    ) -> None:
        """Make the level of a grey picture ``(h', w')``, without a ``pattern`` of any size that stands still in it."""
        self.frame_hw = frame_hw
        self._stride = stride
        width = max(3, round(_MEAN_SHARE * small.shape[1]))
        self._picture: Picture = small - cv2.blur(small, (width, width), borderType=cv2.BORDER_REFLECT)
        if pattern is not None:
            self._picture -= cv2.resize(pattern, small.shape[::-1], interpolation=cv2.INTER_LINEAR)
        self._pixels = _grid((small.shape[0], small.shape[1]), frame_hw, 1)
        self.grid = _grid((small.shape[0], small.shape[1]), frame_hw, stride)
        self.samples: Picture = np.ascontiguousarray(self._picture[stride // 2 :: stride, stride // 2 :: stride])

    def moved(self, motion: Similarity) -> Picture:
        """This picture at the places to which ``motion`` takes the samples, ``(h, w)``; ``OUTSIDE`` beyond its edge."""
        frame = np.vstack([motion.matrix(self.frame_hw), [0, 0, 1]])
        matrix = np.linalg.inv(self._pixels.matrix) @ frame @ self.grid.matrix
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = self.grid.size_hw[::-1]
        found: Picture = cv2.warpAffine(
            self._picture, matrix[:2], size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE
        )
        return found

    @cached_property
    def slopes(self) -> Picture:
        """Change of each sample per unit of log-scale, angle, x and y of a motion, ``(4, h * w)``.

        Scale and angle are in units of ``1 / reach_px``, so that all four are of one size.
        """
        stride, (step_y, step_x) = self._stride, self._pixels.step_yx
        cut = slice(stride // 2, None, stride)
        along_x = cv2.Scharr(self._picture, cv2.CV_32F, 1, 0, scale=1 / (32 * step_x))[cut, cut]
        along_y = cv2.Scharr(self._picture, cv2.CV_32F, 0, 1, scale=1 / (32 * step_y))[cut, cut]
        x, y = _places(self.grid, self.frame_hw)
        reach = np.float32(self.reach_px)
        slopes = (along_x * (x / reach) + along_y * (y / reach), along_y * (x / reach) - along_x * (y / reach))
        return np.stack([*slopes, along_x, along_y]).reshape(4, -1)

    def points(self) -> Points:
        """The places of the samples, complex ``(h * w,)`` in pixels from the frame's centre."""
        x, y = _places(self.grid, self.frame_hw)
        found: Points = (x + 1j * y).astype(np.complex128).ravel()
        return found

    @property
    def reach_px(self) -> float:
        """A quarter of the frame's diagonal, in pixels."""
        return math.hypot(*self.frame_hw) / 4


class Pyramid:
    """The small pictures of one frame.

    Attributes:
        frame_hw: size of the frame.
        fine, coarse: levels at which motions are refined.
        coarse_grey: the picture of the coarse level with its mean, float32 ``(h, w)``.
    """

    def __init__(self, frame: Frame, pattern: Picture | None = None) -> None:
        """Make the pictures of uint8 ``(H, W, 3)`` BGR, without the ``pattern`` of its lens."""
        self.frame_hw = (frame.shape[0], frame.shape[1])
        shrink = max(1.0, math.sqrt(self.frame_hw[0] * self.frame_hw[1] / _FINE_PIXELS))
        grey = cv2.cvtColor(_thinned(frame, shrink), cv2.COLOR_BGR2GRAY)
        self._grey: Grey = _shrunk(grey, self.frame_hw, shrink)
        small = self._grey.astype(np.float32)
        self.fine = Level(small, self.frame_hw, stride=2 if min(small.shape) >= 96 else 1, pattern=pattern)
        self.coarse_grey: Picture = _shrunk(small, self.frame_hw, shrink * _COARSE)
        self.coarse = Level(self.coarse_grey, self.frame_hw, pattern=pattern)

    @cached_property
    def tracked(self) -> Grey:
        """Picture for feature tracks and dense flow, uint8; a quarter of a frame of 480x640."""
        height, width = self._grey.shape
        shrink = max(1.0, math.sqrt(height * width / (_FINE_PIXELS / _TRACKED**2)))
        return _shrunk(self._grey, (height, width), shrink)


def _thinned(frame: Frame, shrink: float) -> Frame:
    """Every n-th pixel of a frame much larger than the fine picture, because the rest costs time and adds little."""
    step = max(1, int(shrink / 2))
    return frame if step == 1 else np.ascontiguousarray(frame[step // 2 :: step, step // 2 :: step])


def _shrunk(grey: AnyGrey, full_hw: tuple[int, int], shrink: float) -> AnyGrey:
    size = (max(8, round(full_hw[1] / shrink)), max(8, round(full_hw[0] / shrink)))
    if size == grey.shape[::-1]:
        return grey
    small: AnyGrey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return small


@lru_cache(maxsize=16)
def _grid(picture_hw: tuple[int, int], frame_hw: tuple[int, int], stride: int) -> Grid:
    step_y, step_x = frame_hw[0] / picture_hw[0], frame_hw[1] / picture_hw[1]
    skipped = stride // 2
    size = (-(-(picture_hw[0] - skipped) // stride), -(-(picture_hw[1] - skipped) // stride))
    first = ((skipped + 0.5) * step_y - 0.5, (skipped + 0.5) * step_x - 0.5)
    return Grid(size, (stride * step_y, stride * step_x), first)


@lru_cache(maxsize=16)
def _places(grid: Grid, frame_hw: tuple[int, int]) -> tuple[Picture, Picture]:
    """Places of the samples relative to the frame's centre: x as a row, y as a column, in pixels."""
    height, width = grid.size_hw
    x = grid.first_yx[1] + grid.step_yx[1] * np.arange(width) - (frame_hw[1] - 1) / 2
    y = grid.first_yx[0] + grid.step_yx[0] * np.arange(height) - (frame_hw[0] - 1) / 2
    across, down = x.astype(np.float32)[None], y.astype(np.float32)[:, None]
    for places in (across, down):
        places.setflags(write=False)
    return across, down
