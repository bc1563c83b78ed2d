"""The shade of the teeth: CIEDE2000 differences over the tooth pixels of many frames."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mostnet.contract import FOREGROUND, Frame, FrameError
from mostnet.contract.metrics import Mask, check_pictures

from .ciede2000 import ciede2000, lab_of_bgr

#: Half of the observers see a difference of ``JUST_SEEN_DE00``, and half accept one of ``JUST_ACCEPTED_DE00``:
#: R. Paravina et al., "Color difference thresholds in dentistry", J. Esthet. Restor. Dent. 27 (2015), and ISO/TR 28642.
JUST_SEEN_DE00, JUST_ACCEPTED_DE00 = 0.8, 1.8
#: Each difference is counted at the nearest multiple of this.
STEP_DE00 = 0.01


class ShadeErrors(NamedTuple):
    """CIEDE2000 differences at the tooth pixels of one frame, in a few kilobytes.

    Attributes:
        sum_de00: their sum.
        counts: ``counts[i]`` is the number of pixels whose difference is nearest to ``i * STEP_DE00``.
    """

    sum_de00: float
    counts: array[int]

    @property
    def pixels(self) -> int:
        """Number of tooth pixels."""
        return int(np.frombuffer(self.counts, np.uintc).sum())


def tooth_shade(picture: Frame, reference: Frame, mask: Mask) -> ShadeErrors | None:
    """Compare the colours of uint8 ``(H, W, 3)`` BGR pictures at the tooth pixels of ``mask`` ``(H, W)``.

    Returns:
        None if there is no tooth pixel.

    Raises:
        FrameError: not two uint8 pictures of one size with a mask of that size.
    """
    check_pictures(picture, reference)
    if mask.shape != picture.shape[:2]:
        raise FrameError(f"mask is {mask.shape}, expected {picture.shape[:2]} like the pictures")
    teeth = mask >= FOREGROUND
    errors = ciede2000(lab_of_bgr(picture[teeth]), lab_of_bgr(reference[teeth]))
    if not errors.size:
        return None
    counts = np.bincount(np.rint(errors / STEP_DE00).astype(np.intp))
    return ShadeErrors(float(errors.sum(dtype=np.float64)), array("I", counts.astype(np.uintc).tobytes()))


def mean_de00(frames: Sequence[ShadeErrors]) -> float | None:
    """Mean over the tooth pixels of all frames; None without any."""
    pixels = sum(frame.pixels for frame in frames)
    return sum(frame.sum_de00 for frame in frames) / pixels if pixels else None


def percentile_de00(frames: Sequence[ShadeErrors], percent: float) -> float | None:
    """The smallest multiple of ``STEP_DE00`` that ``percent`` % of all tooth pixels do not exceed; None without any.

    Each difference was rounded to such a multiple, so that the result is within half a step of the exact percentile.
    """
    if not frames:
        return None
    counts = np.zeros(max(len(frame.counts) for frame in frames), np.int64)
    for frame in frames:
        counts[: len(frame.counts)] += np.frombuffer(frame.counts, np.uintc)
    up_to = np.cumsum(counts)
    return float(np.searchsorted(up_to, percent / 100 * up_to[-1])) * STEP_DE00
