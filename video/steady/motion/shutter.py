"""Find out from its motion how a camera reads its frames: all rows at once, or row by row.

Row ``y`` of frame ``t``, counted from the middle, is exposed at the time ``t + share * y / H`` frames. A camera with
velocity ``v(t)`` so shows each point displaced by ``share * v(t) * y / H``. Between two frames, that changes by
``share * (v(t) - v(t-1)) * y / H``, a shear, which no similarity holds. Its part in the conjugate of ``z`` is compared
with the change of velocity, which the motions to the neighbouring frames tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mostnet.video.steady.rows import RowSkew
from mostnet.video.steady.similarity import Points, Similarity, Weights, least_squares

#: Most neighbours on each side from which the velocity of a frame is computed.
REACH = 3
#: Velocity is exact up to this frequency, in cycles per frame, as far as the neighbours allow.
_BAND = 0.42
#: Least readout, as a share of the frame period, that is corrected, and its distance from zero in standard errors.
LEAST_SHARE, _SURE = 0.1, 4.0
#: Least share of the shear's energy that the readout must explain.
_LEAST_EXPLAINED = 0.3
#: RMS displacement, in pixels, at which the correction starts, and below which it stops.
_START_PX, _STOP_PX = 0.2, 0.12
#: Fewest tracks that show a shear, and fewest frames that show a readout.
_MIN_TRACKS, _MIN_FRAMES = 40, 20
#: A shear this large is an error of the tracks.
_MAX_SHEAR = 0.03
#: Forgetting per frame: a camera does not change its shutter, but clips of several cameras are cut together.
_MEMORY, _RECENT = 1 - 1 / 300, 1 - 1 / 30
_TUKEY = 4.685
_ROUNDS = 3


def velocity(motions: Sequence[Similarity]) -> tuple[complex, complex]:
    """Rate and shift per frame at the middle of ``2 K`` motions, each from its frame to the one before.

    The frame itself belongs to ``motions[K - 1]``. All of them are known, and K is at least 1.
    """
    weights = _weights(len(motions) // 2)
    rates, shifts = np.array([(motion.a - 1, motion.b) for motion in motions]).T
    return complex(weights @ rates), complex(weights @ shifts)


def row_skew(
    motions: Sequence[Similarity], share: float, height_px: int, points: Points, weights: Weights | None = None
) -> RowSkew:
    """The skew of a frame with the given readout share, from the motions around it as ``velocity`` takes them.

    Args:
        motions: ``2 K`` motions around the frame.
        share: readout as a share of the frame period; negative if the last row comes first.
        height_px: height of the frame.
        points: the points of the frame that gave its motion, complex ``(N,)`` in pixels from the centre.
        weights: their weights; None: all alike.
    """
    rate, shift = (share / height_px * part for part in velocity(motions))
    weights = np.ones(len(points)) if weights is None else weights
    held = least_squares(points, points.imag * (rate * points + shift), weights)
    return RowSkew(rate, shift, *held)


def shear_of(points: Points, moved: Points) -> complex | None:
    """The shear between two frames: ``B`` of the robust fit ``moved = A z + B conj(z) + c``; None with few tracks."""
    if len(points) < _MIN_TRACKS:
        return None
    basis = np.stack([points.conj(), points, np.ones_like(points)], axis=1)
    trust = np.ones(len(points))
    for _ in range(_ROUNDS):
        weighted = basis.conj().T * trust
        fit = np.linalg.lstsq(weighted @ basis, weighted @ moved, rcond=None)[0]
        squares = np.abs(moved - basis @ fit) ** 2
        trust = np.maximum(1 - squares / (_TUKEY**2 * max(float(np.median(squares)) / 1.386, 1e-4)), 0) ** 2
    return complex(fit[0])


class ShutterEstimator:
    """Estimates the readout share from motions and feature tracks, over some 300 frames.

    Attributes:
        share: readout as a share of the frame period, to be corrected: exactly 0 unless it is certain, explains the
            shear, and the camera moves fast enough for it to show. Negative if the last row comes first.
    """

    def __init__(self, *, reach: int = REACH) -> None:
        self.share = 0.0
        self._reach = reach
        self._window: deque[tuple[Similarity, complex | None]] = deque(maxlen=2 * reach + 1)
        self._squares = np.zeros((6, 6))
        self._count = 0.0
        self._speed = 0.0

    def restart(self) -> None:
        """Go on after a cut or a loss of tracking: frames before and after are no neighbours."""
        self._window.clear()

    def push(self, motion: Similarity, points: Points, moved: Points, *, height_px: int) -> None:
        """Add a frame's motion to the frame before it, and tracks: points of the frame, and their places before.

        Both are complex ``(N,)``, in pixels from the centre, and may hold outliers.
        """
        self._window.append((motion, shear_of(points, moved)))
        shear = self._window[self._reach][1] if len(self._window) > 2 * self._reach else None
        if shear is None or abs(shear) > _MAX_SHEAR:
            return
        motions = [entry[0] for entry in self._window]
        before, now = velocity(motions[:-1])[1], velocity(motions[1:])[1]
        step = motions[self._reach].b
        # Unequal depth makes a shear too, but in proportion to the motion itself, not to the change of velocity.
        causes = np.array([0.5j * (now - before), step, 1j * step, step.conjugate(), 1j * step.conjugate()])
        row = np.append(causes / height_px, shear)
        self._squares = _MEMORY * self._squares + np.outer(row.real, row.real) + np.outer(row.imag, row.imag)
        self._count = _MEMORY * self._count + 1
        self._speed = _RECENT * self._speed + (1 - _RECENT) * abs(now) ** 2
        self.share = self._decided()

    def _decided(self) -> float:
        share, error, explained = self._fitted()
        sure = abs(share) - _SURE * error > LEAST_SHARE and explained > _LEAST_EXPLAINED
        # The displacement grows evenly from the middle to the first and last rows.
        shown_px = abs(share) * np.sqrt(self._speed / 12)
        least_px = _STOP_PX if self.share else _START_PX
        return share if sure and shown_px > least_px else 0.0

    def _fitted(self) -> tuple[float, float, float]:
        """The readout share, its standard error, and the share of the shear's energy that it explains."""
        if self._count < _MIN_FRAMES:
            return 0.0, 0.0, 0.0
        system, aim, energy = self._squares[:-1, :-1], self._squares[:-1, -1], self._squares[-1, -1]
        inverse = np.linalg.pinv(system, hermitian=True)
        fit = inverse @ aim
        left = max(float(energy - aim @ fit), 0.0)
        without = energy - aim[1:] @ np.linalg.pinv(system[1:, 1:], hermitian=True) @ aim[1:]
        variance = left / (2 * self._count - len(fit)) * inverse[0, 0]
        explained = 1 - left / without if without > 0 else 0.0
        return float(fit[0]), float(np.sqrt(variance)), float(explained)


@lru_cache(maxsize=8)
def _weights(reach: int) -> npt.NDArray[np.float64]:
    """Weights of ``2 K`` motions that give the velocity of the middle frame.

    The differences between positions j frames ahead and j frames back are weighted so that their sum, over the band,
    is nearest to the derivative (least squares, relative to the frequency).
    """
    omega = 2 * np.pi * _BAND * np.linspace(0.02, 1, 200)[:, None]
    span = np.arange(1, reach + 1)
    scale = np.maximum(omega, 0.4)
    response = 2 * np.sin(omega * span) / scale
    steps = np.linalg.lstsq(response, (omega / scale)[:, 0], rcond=None)[0]
    ahead = np.cumsum(steps[::-1])[::-1]  # a difference over j frames holds the j motions on each side
    return np.concatenate([ahead[::-1], ahead])
