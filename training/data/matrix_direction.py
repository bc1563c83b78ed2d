"""Which way the motion matrices of the published data set point, found by comparing pictures.

Points are ``(x, y, 1)`` in pixels of the frame, with pixel centres at integers, as OpenCV counts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mostnet.contract import DatasetError
from mostnet.contract.metrics import Flow, Valid
from mostnet.contract.terminal import counted
from mostnet.video.steady.similarity import Similarity, centre_of

from .matrices import Matrices
from .pictures import read_mask, read_picture

_Grey = npt.NDArray[np.float32]

_SEQUENCES = 3
_PAIRS = 8
#: Longer side of the pictures that are compared, in pixels. Lengths below are in these pixels.
_SIDE = 320
_BLUR = 1.0
#: A pair shows something if a hypothesis moves a corner or the centre this far.
_MOVES_PX = 1.0
#: Hypotheses that are further apart than this are equally easy to tell.
_APART_PX = 4.0
#: A hypothesis that takes less than this share of its pixels from inside the previous picture counts as no motion.
_SEEN = 0.25
#: Least share of tooth in a picture for its teeth alone to be compared, and the width of the edge around them.
_LEAST_TOOTH, _EDGE_OF_TOOTH = 0.02, 4
#: The winner leaves at most these shares of what no motion, and the next best hypothesis, leave.
_OF_STILL = 0.9
_OF_NEXT = 0.95
#: Rounding must not put the edge of a still frame outside of it.
_EDGE_PX = 1e-3
_FAR_PX = 1e6
_FILE = "homo_4df.pkl"


class Direction(Enum):
    """What matrix t of a sequence maps."""

    TO_THIS = "matrix t maps frame t-1 to frame t"
    FROM_THIS = "matrix t maps frame t to frame t-1"
    TO_NEXT = "matrix t maps frame t to frame t+1"
    FROM_NEXT = "matrix t maps frame t+1 to frame t"
    TO_COMMON = "matrix t maps frame t to a common frame"
    FROM_COMMON = "matrix t maps a common frame to frame t"

    @property
    def text(self) -> str:
        """The direction in plain English."""
        return self.value


@dataclass(frozen=True)
class Found:
    """The direction of the matrices of a data set, and the figures behind it.

    Attributes:
        direction: None if the matrices do not tell.
        residuals: mean absolute difference between each frame and the previous one moved onto it, in grey levels, per
            hypothesis; empty without pairs.
        still: the same without motion; 0 without pairs.
        pairs: number of pairs of frames that were compared.
        text: one line that says all this.
    """

    direction: Direction | None
    residuals: dict[Direction, float]
    still: float
    pairs: int
    text: str


class MovingPictures(NamedTuple):
    """One sequence: T pictures in order, its matrices ``(T, 3, 3)``, and T tooth masks if it has them."""

    pictures: Sequence[Path]
    matrices: Matrices
    masks: Sequence[Path] = ()


class _Pair(NamedTuple):
    """Two frames, the mask of the second, and each hypothesis' backward matrix ``(3, 3)`` at the compared size."""

    before: Path
    now: Path
    mask: Path | None
    steps: dict[Direction, Matrices]


def backward(matrices: Matrices, direction: Direction) -> Matrices:
    """Matrices ``(T, 3, 3)``, float64, of which number t maps a point of frame t to its place in frame t-1.

    The first is the identity.

    Args:
        matrices: float ``(T, 3, 3)``, invertible, of this direction.
    """
    steps = np.tile(np.eye(3), (len(matrices), 1, 1))
    if len(matrices) > 1:
        steps[1:] = _steps(matrices[:-1], matrices[1:], direction)
    return steps


def _steps(before: Matrices, now: Matrices, direction: Direction) -> Matrices:
    match direction:
        case Direction.TO_THIS:
            return np.asarray(np.linalg.inv(now))
        case Direction.FROM_THIS:
            return now
        case Direction.TO_NEXT:
            return np.asarray(np.linalg.inv(before))
        case Direction.FROM_NEXT:
            return before
        case Direction.TO_COMMON:
            return np.asarray(np.linalg.inv(before) @ now)
        case Direction.FROM_COMMON:
            return np.asarray(before @ np.linalg.inv(now))


def similarity_flow(backward: Matrices, size_hw: tuple[int, int]) -> tuple[Flow, Valid]:
    """The backward flow of a matrix, as ``mostnet.contract`` defines it.

    Args:
        backward: affine ``(3, 3)`` that maps a point of a frame to its place in the previous frame.
        size_hw: of both frames.

    Returns:
        Flow, float32 ``(2, H, W)`` in pixels, and bool ``(H, W)``: the place is inside the previous frame. The flow is
        zero elsewhere.
    """
    height, width = size_hw
    own = np.mgrid[:height, :width][::-1].astype(np.float64)
    place = np.einsum("ij,jhw->ihw", backward[:2, :2], own) + backward[:2, 2, None, None]
    last = np.array([width - 1, height - 1])[:, None, None]
    valid = ((place >= -_EDGE_PX) & (place <= last + _EDGE_PX)).all(axis=0)
    return np.where(valid, place - own, 0).astype(np.float32), np.asarray(valid)


def as_similarity(backward: Matrices, size_hw: tuple[int, int]) -> Similarity:
    """The similarity nearest to a matrix that maps the frame's centre to the same place.

    Nearest is the least sum of squares over the 2x2 part.

    Args:
        backward: affine ``(3, 3)`` that maps a point of a frame to its place in the previous frame.
        size_hw: of both frames.
    """
    m, centre = backward, centre_of(size_hw)
    place = m @ np.array([centre.real, centre.imag, 1.0])
    a = complex(m[0, 0] + m[1, 1], m[1, 0] - m[0, 1]) / 2
    return Similarity(a, complex(place[0], place[1]) - centre)


def find_direction(sequences: Sequence[MovingPictures]) -> Found:
    """Find the hypothesis under which each frame looks most like the previous one moved onto it.

    The first three sequences whose matrices move a picture are used, and up to eight pairs of frames of each. Pictures
    are compared in grey, with the longer side at most 320 pixels. Gain and offset of each comparison are fitted by
    least squares, because the exposure changes. A hypothesis says nothing about a pixel that it takes from outside the
    previous frame, so that such a pixel counts as without motion. All hypotheses are compared over the same pixels, and
    a wrong one cannot win by moving most of them out of sight. These are the teeth and their edges, because the rest of
    a mouth moves in other ways; without masks or teeth they are the whole picture.

    Args:
        sequences: with matrices as ``matrices.read_matrices`` reads them.

    Raises:
        DatasetError: a picture or mask cannot be read, or two pictures of one sequence have different sizes.
    """
    pairs: list[_Pair] = []
    used = 0
    for sequence in sequences:
        assert len(sequence.pictures) == len(sequence.matrices)
        chosen = _choose(sequence) if len(sequence.pictures) > 1 else []
        pairs += chosen
        used += bool(chosen)
        if used == _SEQUENCES:
            break
    if not pairs:
        return Found(None, {}, 0.0, 0, f"{_FILE}: the matrices of {counted(len(sequences), 'sequence')} hold no motion")
    rows = [_residuals(pair) for pair in pairs]
    still = float(np.mean([still for still, _ in rows]))
    residuals = {direction: float(np.mean([row[direction] for _, row in rows])) for direction in Direction}
    direction, text = _verdict(residuals, still, f"{counted(len(pairs), 'pair')} of {counted(used, 'sequence')}")
    return Found(direction, residuals, still, len(pairs), f"{_FILE}: {text}")


def _verdict(residuals: dict[Direction, float], still: float, basis: str) -> tuple[Direction | None, str]:
    best, second = sorted(Direction, key=residuals.__getitem__)[:2]
    least, following = residuals[best], residuals[second]
    if least <= _OF_STILL * still and least <= _OF_NEXT * following:
        figures = f"residual {least:.1f} grey levels; next best {following:.1f}; without motion {still:.1f}; {basis}"
        return best, f"{best.text} ({figures})"
    return None, (
        f"the matrices do not tell their direction: the best residual is {least:.2f} grey levels ({best.text}), the "
        f"next {following:.2f} ({second.text}), and {still:.2f} without motion ({basis}); expected at most "
        f"{_OF_STILL:.0%} of that without motion and {_OF_NEXT:.0%} of the next"
    )


def _choose(sequence: MovingPictures) -> list[_Pair]:
    """Up to eight pairs with motion, from equal parts of the sequence; of each part the one that tells most."""
    pictures, matrices, masks = sequence
    height, width = read_picture(pictures[0]).shape[:2]
    size_hw = _small_size((height, width))
    scale = _scaling((height, width), size_hw)
    steps = {d: scale @ backward(matrices, d) @ np.linalg.inv(scale) for d in Direction}
    furthest, apart = _spread(steps, size_hw)
    moving = np.flatnonzero(furthest >= _MOVES_PX)
    parts = np.array_split(moving, min(_PAIRS, len(moving))) if len(moving) else []
    chosen = [int(part[np.argmax(apart[part])]) for part in parts]
    return [
        _Pair(pictures[t - 1], pictures[t], masks[t] if masks else None, {d: steps[d][t] for d in Direction})
        for t in chosen
    ]


def _spread(steps: dict[Direction, Matrices], size_hw: tuple[int, int]) -> tuple[Matrices, Matrices]:
    """Per frame, ``(T,)`` each: the longest way of a corner or the centre under any hypothesis, and the least distance
    between any two hypotheses, of which no motion is one; in pixels, the latter up to ``_APART_PX``.
    """
    bottom, right = size_hw[0] - 1, size_hw[1] - 1
    own = np.array([[0, right, 0, right, right / 2], [0, 0, bottom, bottom, bottom / 2], [1, 1, 1, 1, 1]])
    count = len(next(iter(steps.values())))
    places = [np.clip((step @ own)[:, :2], -_FAR_PX, _FAR_PX) for step in steps.values()]
    places.append(np.tile(own[:2], (count, 1, 1)))
    furthest = np.max([_distance(place, places[-1]) for place in places], axis=0)
    apart = np.min([_distance(one, other) for one, other in combinations(places, 2)], axis=0)
    return furthest, np.minimum(apart, _APART_PX)


def _distance(places: Matrices, others: Matrices) -> Matrices:
    """Greatest distance between points ``(T, 2, N)``, ``(T,)``."""
    return np.asarray(np.hypot(*np.moveaxis(places - others, 1, 0)).max(axis=1))


def _residuals(pair: _Pair) -> tuple[float, dict[Direction, float]]:
    """Mean absolute difference of a pair in grey levels, without motion and per hypothesis."""
    before, now = _small_grey(pair.before), _small_grey(pair.now)
    if before.shape != now.shape:
        raise DatasetError(f"{pair.now}: has another size than {pair.before.name}; scale one of them")
    region = _teeth(pair.mask, (now.shape[0], now.shape[1]))
    still, _ = _difference(now, before, np.eye(3), region)
    found: dict[Direction, float] = {}
    for direction, step in pair.steps.items():
        difference, valid = _difference(now, before, step, region)
        found[direction] = float(np.where(valid, difference, still)[region].mean())
    return float(still[region].mean()), found


def _teeth(mask: Path | None, size_hw: tuple[int, int]) -> Valid:
    """The teeth and their edges, bool ``(H, W)``; everything without a mask or with hardly any tooth in it."""
    everything: Valid = np.ones(size_hw, np.bool_)
    if mask is None:
        return everything
    tooth = cv2.resize(read_mask(mask), size_hw[::-1], interpolation=cv2.INTER_AREA) > 0
    if tooth.mean() < _LEAST_TOOTH:
        return everything
    square = np.ones((2 * _EDGE_OF_TOOTH + 1,) * 2, np.uint8)
    return np.asarray(cv2.dilate(tooth.astype(np.uint8), square) > 0)


def _difference(now: _Grey, before: _Grey, step: Matrices, region: Valid) -> tuple[_Grey, Valid]:
    """Absolute difference ``(H, W)`` between a frame and the previous one moved onto it, and where it is known."""
    size_hw = (now.shape[0], now.shape[1])
    flow, valid = similarity_flow(step, size_hw)
    valid = valid & region
    if valid.sum() < _SEEN * region.sum():
        return np.zeros_like(now), np.zeros_like(valid)
    place = flow + np.mgrid[: size_hw[0], : size_hw[1]][::-1].astype(np.float32)
    moved = cv2.remap(before, place[0], place[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    grey, target = moved[valid].astype(np.float64), now[valid].astype(np.float64)
    variance = grey.var()
    gain = ((grey * target).mean() - grey.mean() * target.mean()) / variance if variance > 0 else 0.0
    fitted = gain * (moved - grey.mean()) + target.mean()
    return np.abs(now - fitted).astype(np.float32), valid


def _small_grey(path: Path) -> _Grey:
    """A picture in grey, float32 ``(H, W)`` from 0 to 255, shrunk and lightly blurred."""
    grey = cv2.cvtColor(read_picture(path), cv2.COLOR_BGR2GRAY)
    height, width = _small_size((grey.shape[0], grey.shape[1]))
    small = cv2.resize(grey.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _BLUR))


def _small_size(size_hw: tuple[int, int]) -> tuple[int, int]:
    share = min(1.0, _SIDE / max(size_hw))
    return max(1, round(size_hw[0] * share)), max(1, round(size_hw[1] * share))


def _scaling(size_hw: tuple[int, int], small_hw: tuple[int, int]) -> Matrices:
    """Matrix ``(3, 3)`` that maps a point of a picture to its place in the shrunk one: corners of pixels agree."""
    y, x = small_hw[0] / size_hw[0], small_hw[1] / size_hw[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
