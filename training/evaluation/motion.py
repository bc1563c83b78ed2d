"""The motion of the teeth as one similarity (turn, zoom, shift): what stabilising a video needs from the flow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mostnet.contract import FOREGROUND
from mostnet.contract.metrics import Flow, Picture, Valid, check_flow

Points = npt.NDArray[np.float64]
Similarity = npt.NDArray[np.float64]

#: Fewer tooth pixels with known flow than this say nothing about the motion of the teeth.
MIN_POINTS = 50
#: More pixels are thinned out evenly: they add time and no accuracy.
_MOST_POINTS = 5000
_ITERATIONS = 15
#: Tuning constant of the Cauchy weight for 95 % efficiency on normal residuals, and MAD to standard deviation.
_CAUCHY, _MAD = 2.385, 1.4826
_LEAST_SCALE_PX = 0.02


class ToothMotion(NamedTuple):
    """How well the predicted flow gives the motion of the teeth in one frame.

    ``error_px`` is the mean distance, over the tooth pixels, between where the two similarities move them; ``dot`` and
    ``square`` are the sums of ``predicted . true`` and ``true . true``: over a split, their ratio is the slope of
    predicted against true displacement (least squares through the origin; the label is taken to be exact).
    """

    error_px: float
    dot: float
    square: float


def tooth_motion(flow: Flow, reference: Flow, valid: Valid, mask: Picture) -> ToothMotion | None:
    """Compare the motions that two flows ``(2, H, W)`` give the teeth of the true ``mask`` ``(H, W)``.

    Returns:
        None where fewer than ``MIN_POINTS`` tooth pixels have a known flow.

    Raises:
        FrameError: shapes differ, or a vector at a valid pixel is not finite.
    """
    check_flow(flow, reference, valid)
    y, x = np.nonzero((mask >= FOREGROUND) & valid)
    if len(x) < MIN_POINTS:
        return None
    thin = slice(None, None, -(-len(x) // _MOST_POINTS))
    y, x = y[thin], x[thin]
    points = np.stack([x, y], axis=1).astype(np.float64)
    predicted, true = (values[:, y, x].T.astype(np.float64) for values in (flow, reference))
    fitted = fit_similarity(points, points + predicted)
    distance = move(fitted, points) - move(fit_similarity(points, points + true), points)
    return ToothMotion(
        float(np.mean(np.hypot(*distance.T))), float(np.sum(predicted * true)), float(np.sum(true * true))
    )


def fit_similarity(points: Points, targets: Points) -> Similarity:
    """The similarity ``(2, 3)`` that takes ``points`` ``(N, 2)`` nearest to ``targets`` in the face of outliers.

    Iteratively reweighted least squares with Cauchy weights, their scale from the median residual (P. Holland and
    R. Welsch, "Robust regression using iteratively reweighted least-squares", 1977).
    """
    weights = np.ones(len(points))
    for _ in range(_ITERATIONS):
        fitted = _fit_weighted(points, targets, weights)
        residual = np.hypot(*(move(fitted, points) - targets).T)
        scale = max(_CAUCHY * _MAD * float(np.median(residual)), _LEAST_SCALE_PX)
        weights = 1 / (1 + (residual / scale) ** 2)
    return _fit_weighted(points, targets, weights)


def move(similarity: Similarity, points: Points) -> Points:
    """Where a similarity ``(2, 3)`` takes ``points`` ``(N, 2)``."""
    moved: Points = points @ similarity[:, :2].T + similarity[:, 2]
    return moved


def _fit_weighted(points: Points, targets: Points, weights: npt.NDArray[np.float64]) -> Similarity:
    """Weighted least squares in closed form, as one complex factor about the centroids."""
    weights = weights / weights.sum()
    centre, target = weights @ points, weights @ targets
    a, b = ((values - middle) @ (1, 1j) for values, middle in ((points, centre), (targets, target)))
    power = float(np.sum(weights * np.abs(a) ** 2))
    factor = complex(np.sum(weights * b * a.conj())) / power if power > 0 else 1.0 + 0j
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, target - linear @ centre])
