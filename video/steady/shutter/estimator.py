"""Find out from its motion how a camera reads its frames: all rows at once, or row by row.

Row ``y`` of frame ``t``, counted from the middle, is exposed at the time ``t + share * y / H`` in frames. A camera with
velocity ``v(t)`` shows each point displaced by ``share * v(t) * y / H``. Between two frames, that changes by
``share * (v(t) - v(t-1)) * y / H``: a shear, which no similarity holds. Its part in the conjugate of ``z`` is compared
with the change of velocity, which is known from the motions to the neighbouring frames.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from mostnet.video.steady.similarity import Points, Similarity

from .velocity import REACH, velocity

#: Matched points of two frames, complex ``(N,)`` in pixels from the centre: in the frame, and in the one before.
Matches = tuple[Points, Points]

#: Least readout, as a share of the frame period, that is corrected, and its distance from zero in standard errors.
_LEAST_SHARE, _SURE = 0.1, 4.0
#: Least part of the shear's energy that the readout must explain.
_LEAST_EXPLAINED = 0.3
#: RMS displacement in pixels at which the correction starts, and below which it stops.
_START_PX, _STOP_PX = 0.2, 0.12
#: Fewest matches that show a shear, and fewest frames that show a readout.
_MIN_MATCHES, _MIN_FRAMES = 40, 20
#: A larger shear is an error of the matches.
_MAX_SHEAR = 0.03
#: Forgetting per frame of the shears, and of the speed. A camera keeps its shutter, but an edited film changes cameras.
_MEMORY, _RECENT = 1 - 1 / 300, 1 - 1 / 30
_TUKEY, _MEDIAN_TO_VARIANCE, _LEAST_VARIANCE = 4.685, 1 / 1.386, 1e-4
_ROUNDS = 3


def shear_of(points: Points, moved: Points) -> complex | None:
    """The shear between two frames: ``B`` of the robust fit ``moved = A z + B conj(z) + c``; None with few points."""
    if len(points) < _MIN_MATCHES:
        return None
    basis = np.stack([points.conj(), points, np.ones_like(points)], axis=1)
    trust = np.ones(len(points))
    for _ in range(_ROUNDS):
        weighted = basis.conj().T * trust
        fit = np.linalg.lstsq(weighted @ basis, weighted @ moved, rcond=None)[0]
        squares = np.abs(moved - basis @ fit) ** 2
        variance = max(float(np.median(squares)) * _MEDIAN_TO_VARIANCE, _LEAST_VARIANCE)
        trust = np.maximum(1 - squares / (_TUKEY**2 * variance), 0) ** 2
    return complex(fit[0])


class ShutterEstimator:
    """Estimates the readout of a camera from its motions and matched points, over some 300 frames.

    Attributes:
        share: readout to correct, as a share of the frame period; negative if the last row comes first. It is exactly 0
            unless it is certain, explains the shear, and the camera moves fast enough for it to show.
        count: shears that were compared.
    """

    def __init__(self, *, reach: int = REACH) -> None:
        self.share = 0.0
        self.count = 0.0
        self._reach = reach
        self._window: deque[tuple[Similarity, complex | None]] = deque(maxlen=2 * reach + 1)
        self._squares = np.zeros((6, 6))
        self._fit = (0.0, 0.0, 0.0)
        self._speed = 0.0

    def restart(self) -> None:
        """Go on after a frame of unknown motion. What is known of the shutter stays."""
        self._window.clear()

    def push(self, motion: Similarity, matches: Matches | None, *, height_px: int) -> None:
        """Add a frame's motion to the frame before it, and matches of the two, if there are any; they may be wrong."""
        self._window.append((motion, None if matches is None else shear_of(*matches)))
        if len(self._window) > 2 * self._reach:
            self._compare(height_px)
            self.share = self._decided()

    def _compare(self, height_px: int) -> None:
        """Add the middle frame of the window to the normal equations of the readout."""
        motions = [motion for motion, _ in self._window]
        before, now = velocity(motions[:-1])[1], velocity(motions[1:])[1]
        self._speed = _RECENT * self._speed + (1 - _RECENT) * abs(now) ** 2
        step, shear = motions[self._reach].b, self._window[self._reach][1]
        if shear is None or abs(shear) > _MAX_SHEAR:
            return
        # Unequal depth makes a shear too, but in proportion to the motion itself, not to the change of velocity.
        causes = np.array([0.5j * (now - before), step, 1j * step, step.conjugate(), 1j * step.conjugate()])
        row = np.append(causes / height_px, shear)
        self._squares = _MEMORY * self._squares + np.outer(row.real, row.real) + np.outer(row.imag, row.imag)
        self.count = _MEMORY * self.count + 1
        self._fit = self._fitted()

    def _decided(self) -> float:
        share, error, explained = self._fit
        sure = abs(share) - _SURE * error > _LEAST_SHARE and explained > _LEAST_EXPLAINED
        # The displacement grows evenly from none in the middle row to the first and last rows.
        shown_px = abs(share) * float(np.sqrt(self._speed / 12))
        return share if sure and shown_px > (_STOP_PX if self.share else _START_PX) else 0.0

    def _fitted(self) -> tuple[float, float, float]:
        """The readout, its standard error, and the part of the shear's energy that it explains."""
        if self.count < _MIN_FRAMES:
            return 0.0, 0.0, 0.0
        system, aim, energy = self._squares[:-1, :-1], self._squares[:-1, -1], float(self._squares[-1, -1])
        inverse = np.linalg.pinv(system, hermitian=True)
        fit = inverse @ aim
        left = max(energy - float(aim @ fit), 0.0)
        others = np.linalg.pinv(system[1:, 1:], hermitian=True)
        without = energy - float(aim[1:] @ others @ aim[1:])
        variance = left / (2 * self.count - len(fit)) * float(inverse[0, 0])
        explained = 1 - left / without if without > 0 else 0.0
        return float(fit[0]), float(np.sqrt(max(variance, 0.0))), explained
