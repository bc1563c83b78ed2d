"""The velocity of the camera at a frame, from its motions to the frames around."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mostnet.video.steady.similarity import Similarity

#: Most neighbours on each side that are used.
REACH = 3
#: The velocity is exact up to this frequency, in cycles per frame, as far as the neighbours allow.
_BAND = 0.42


def velocity(motions: Sequence[Similarity]) -> tuple[complex, complex]:
    """Rate and shift per frame at the middle of ``2 K`` motions, each from its frame to the one before.

    The frame itself belongs to ``motions[K - 1]``. K is at least 1.
    """
    weights = _weights(len(motions) // 2)
    rates, shifts = np.array([(motion.a - 1, motion.b) for motion in motions]).T
    return complex(weights @ rates), complex(weights @ shifts)


@lru_cache(maxsize=8)
def _weights(reach: int) -> npt.NDArray[np.float64]:
    """Weights of ``2 K`` motions that give the velocity of the middle frame.

    The differences between the positions j frames ahead and j frames back are weighted so that their sum is, over the
    band, nearest to the derivative (least squares, relative to the frequency).
    """
    omega = 2 * np.pi * _BAND * np.linspace(0.02, 1, 200)[:, None]
    scale = np.maximum(omega, 0.4)
    response = 2 * np.sin(omega * np.arange(1, reach + 1)) / scale
    steps = np.linalg.lstsq(response, (omega / scale)[:, 0], rcond=None)[0]
    ahead = np.cumsum(steps[::-1])[::-1]  # a difference over j frames holds j motions on each side
    weights: npt.NDArray[np.float64] = np.concatenate([ahead[::-1], ahead])
    weights.setflags(write=False)
    return weights
