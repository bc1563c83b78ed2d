"""Similarity transforms of the picture plane, and their robust fit to matched points.

A point is the complex number ``x + iy`` in pixels from the frame's centre; a similarity is ``z -> a z + b`` with the
scale ``|a|`` and the angle ``arg a`` (clockwise on the screen, where y grows downwards).
"""

from __future__ import annotations

import cmath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.complex128]
Weights = npt.NDArray[np.float64]

#: Ratio of standard deviation to median for the length of a normally distributed 2-D vector.
_MEDIAN_TO_SIGMA = 1 / 1.1774
#: Tukey's biweight rejects residuals above this many standard deviations (95 % efficiency; P. Huber, "Robust
#: Statistics").
_TUKEY = 4.685
_HYPOTHESES = 64
_VOTERS = 192
#: The best hypothesis has the smallest residual at this quantile: up to 60 % of the points may be wrong.
_QUANTILE = 0.4
_ITERATIONS = 4
#: Least scale estimate: with exact flow, rounding errors would otherwise count as outliers.
_FLOOR_PX = 0.05


class Similarity(NamedTuple):
    """``z -> a z + b`` in pixels from the frame's centre."""

    a: complex = 1 + 0j
    b: complex = 0j

    def then(self, after: Similarity) -> Similarity:
        """This transform followed by ``after``."""
        return Similarity(after.a * self.a, after.a * self.b + after.b)

    def inverse(self) -> Similarity:
        """The transform back."""
        return Similarity(1 / self.a, -self.b / self.a)

    @property
    def angle(self) -> float:
        """Rotation in radians."""
        return cmath.phase(self.a)

    @property
    def scale(self) -> float:
        """Zoom factor."""
        return abs(self.a)

    def part(self, gain: float) -> Similarity:
        """This transform with its log-scale, angle and shift multiplied by ``gain``, 0 to 1."""
        return Similarity(cmath.exp(gain * cmath.log(self.a)), gain * self.b)

    def towards(self, other: Similarity, share: float) -> Similarity:
        """Interpolate log-scale, angle and shift from this transform to ``other``; ``share`` is 0 to 1."""
        turn = cmath.exp(share * cmath.log(other.a / self.a))
        return Similarity(self.a * turn, (1 - share) * self.b + share * other.b)

    def matrix(self, size_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
        """The transform in pixel coordinates of a frame, float64 ``(2, 3)`` as ``cv2.warpAffine`` takes it."""
        centre = centre_of(size_hw)
        offset = centre + self.b - self.a * centre
        a = self.a
        return np.array([[a.real, -a.imag, offset.real], [a.imag, a.real, offset.imag]])

    @classmethod
    def of_matrix(cls, matrix: npt.NDArray[np.float64], size_hw: tuple[int, int]) -> Similarity:
        """The transform whose ``matrix()`` is this one."""
        a = complex(matrix[0, 0], matrix[1, 0])
        centre = centre_of(size_hw)
        return cls(a, complex(matrix[0, 2], matrix[1, 2]) - centre + a * centre)


def centre_of(size_hw: tuple[int, int]) -> complex:
    """The frame's centre in pixel coordinates."""
    return complex((size_hw[1] - 1) / 2, (size_hw[0] - 1) / 2)


def fit_similarity(points: Points, moved: Points, weights: Weights) -> Similarity:
    """Fit the similarity that takes ``points`` to ``moved``; up to half of them may be outliers.

    Random pairs propose transforms. The one with the least residual for the best 40 % of the points starts iteratively
    reweighted least squares with Tukey's biweight, whose scale is estimated from the residuals at each step
    (P. Rousseeuw and A. Leroy, "Robust Regression and Outlier Detection"). The same points give the same result.

    Args:
        points, moved: complex ``(N,)``, N at least 2, finite.
        weights: float ``(N,)``, not negative, some above zero.
    """
    motion = moved - points
    rate, shift = _propose(points, motion, weights)
    for _ in range(_ITERATIONS):
        squares = _squares(motion - rate * points - shift)
        middle = len(squares) // 2  # by partition: numpy's median takes twice as long
        sigma = max(float(np.sqrt(np.partition(squares, middle)[middle])) * _MEDIAN_TO_SIGMA, _FLOOR_PX)
        trust = np.maximum(1 - squares / (_TUKEY * sigma) ** 2, 0) ** 2 * weights
        rate, shift = least_squares(points, motion, trust)
    return Similarity(1 + rate, shift)


def _propose(points: Points, motion: Points, weights: Weights) -> tuple[complex, complex]:
    """The transform through a random pair of points with the least quantile of residuals."""
    rng = np.random.default_rng(0)  # seeded per call, so that the result does not depend on earlier calls
    chance = np.cumsum(weights / weights.sum())
    drawn = np.minimum(np.searchsorted(chance, rng.random(_VOTERS)), len(points) - 1)
    voters, moves = points[drawn].astype(np.complex64), motion[drawn].astype(np.complex64)
    first, second = rng.integers(0, _VOTERS, (2, _HYPOTHESES))
    apart = voters[first] - voters[second]
    spread = np.abs(voters - voters.mean()).mean()
    usable = np.abs(apart) > 0.25 * spread
    rates = np.where(usable, (moves[first] - moves[second]) / np.where(usable, apart, 1), 0)
    shifts = moves[first] - rates * voters[first]
    residuals = _squares(moves - rates[:, None] * voters - shifts[:, None])
    rank = int(_QUANTILE * _VOTERS)
    best = int(np.argmin(np.partition(residuals, rank, axis=1)[:, rank]))
    return complex(rates[best]), complex(shifts[best])


def least_squares(points: Points, motion: Points, weights: Weights) -> tuple[complex, complex]:
    """Weighted least squares of ``rate * points + shift`` to ``motion``, the displacement of each point.

    Returns ``(rate, shift)`` of the transform ``Similarity(1 + rate, shift)``; zeros if no weight is above zero.
    """
    total = weights.sum()
    if not total > 0:
        return 0j, 0j
    mean, moved = (weights @ points) / total, (weights @ motion) / total
    off = points - mean
    power = weights @ np.abs(off) ** 2
    rate = (weights @ (off.conj() * (motion - moved))) / power if power > 0 else 0j
    return complex(rate), complex(moved - rate * mean)


def _squares(residual: npt.NDArray[np.complexfloating]) -> npt.NDArray[np.floating]:
    """Squared lengths, computed without ``abs``, which takes ten times as long for complex numbers."""
    return np.asarray(residual.real**2 + residual.imag**2)
