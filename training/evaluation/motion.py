"""The motion of the teeth as one similarity (rotation, zoom, shift): what a stabiliser needs from the flow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mostnet.contract import FOREGROUND
from mostnet.contract.metrics import Flow, Mask, Valid, check_flow
from mostnet.video.steady.similarity import Points, Similarity, centre_of, least_squares

#: With fewer tooth pixels of known flow, the motion of the teeth is not measured.
MIN_POINTS = 50
#: More pixels are thinned out evenly: they add time and no accuracy.
_MOST_POINTS = 5000
_ITERATIONS = 15
#: Tuning constant of the Cauchy weight for 95 % efficiency on normal residuals; factor from MAD to standard deviation.
_CAUCHY, _MAD = 2.385, 1.4826
_LEAST_SCALE_PX = 0.02


class ToothMotion(NamedTuple):
    """How well the predicted flow gives the motion of the teeth in one frame.

    Attributes:
        error_px: mean distance, over the tooth pixels, between where the predicted and the true similarity move them.
        dot: sum of ``predicted . true`` over the flow vectors at the tooth pixels. Over a split, the sum of ``dot``
            divided by the sum of ``square`` is the slope of predicted against true displacement: least squares through
            the origin, with the label taken to be exact.
        square: sum of ``true . true``.
    """

    error_px: float
    dot: float
    square: float


def tooth_motion(
    flow: Flow, reference: Flow, valid: Valid, mask: Mask, truth: Similarity | None = None
) -> ToothMotion | None:
    """Compare the motions that two flows ``(2, H, W)`` give the teeth of the true ``mask`` ``(H, W)``.

    Args:
        truth: the motion from a pixel to its place in the previous frame; None fits it to ``reference``.

    Returns:
        None if fewer than ``MIN_POINTS`` tooth pixels have a known flow.

    Raises:
        FrameError: shapes differ, or a vector at a valid pixel is not finite.
    """
    check_flow(flow, reference, valid)
    y, x = np.nonzero((mask >= FOREGROUND) & valid)
    if len(x) < MIN_POINTS:
        return None
    thin = slice(None, None, -(-len(x) // _MOST_POINTS))
    y, x = y[thin], x[thin]
    points = x + 1j * y - centre_of((mask.shape[0], mask.shape[1]))
    predicted, true = (values[:, y, x].astype(np.float64) for values in (flow, reference))
    found, fitted = (fit_motion(points, dx + 1j * dy) for dx, dy in (predicted, true))
    wanted = fitted if truth is None else truth
    distance = np.abs((found.a - wanted.a) * points + found.b - wanted.b)
    return ToothMotion(float(np.mean(distance)), float(np.sum(predicted * true)), float(np.sum(true * true)))


def fit_motion(points: Points, motion: Points) -> Similarity:
    """Fit the similarity that moves ``points`` by ``motion``, robust against outliers.

    Iteratively reweighted least squares with Cauchy weights, their scale from the median residual (P. Holland and
    R. Welsch, "Robust regression using iteratively reweighted least-squares", 1977). The stabiliser's own fit is not
    used because its weights can be zero: a rolling shutter bends the motion, and up to 29 % of the tooth pixels would
    not count.
    """
    weights = np.ones(len(points))
    for _ in range(_ITERATIONS):
        rate, shift = least_squares(points, motion, weights)
        residual = np.abs(motion - rate * points - shift)
        scale = max(_CAUCHY * _MAD * float(np.median(residual)), _LEAST_SCALE_PX)
        weights = 1 / (1 + (residual / scale) ** 2)
    rate, shift = least_squares(points, motion, weights)
    return Similarity(1 + rate, shift)
