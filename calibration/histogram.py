"""Histograms of magnitudes, and the methods that choose the range of a symmetric INT8 tensor from a histogram."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BINS = 2048
#: Largest value of a symmetric INT8 tensor.
LEVELS = 127
_PERCENTILE = 99.99
#: Bins between candidate thresholds of a search.
_STRIDE = 16

Counts = npt.NDArray[np.int64]


@dataclass
class Histogram:
    """Counts of ``|x|`` in equal bins from 0 to ``limit``, for any number of tensors.

    ``limit`` grows by doubling, so that bins merge in pairs and no count is ever split.
    """

    counts: Counts
    limit: float = 0.0
    largest: float = 0.0

    @classmethod
    def empty(cls) -> Histogram:
        """A histogram without values."""
        return cls(np.zeros(_BINS, np.int64))

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Count the magnitudes of ``values``, any shape.

        Raises:
            ValueError: a value is not finite.
        """
        magnitudes = np.abs(values).ravel()
        largest = float(magnitudes.max(initial=0.0))
        if not np.isfinite(largest):
            raise ValueError("a value is not finite")
        self.largest = max(self.largest, largest)
        if largest == 0:
            self.counts[0] += magnitudes.size
            return
        if self.limit == 0:
            self.limit = largest
        while self.limit < largest:
            self.counts[: _BINS // 2] = self.counts.reshape(-1, 2).sum(1)
            self.counts[_BINS // 2 :] = 0
            self.limit *= 2
        self.counts += np.histogram(magnitudes, _BINS, range=(0.0, self.limit))[0]

    def threshold(self, method: str) -> float:
        """The magnitude that becomes 127, by one of ``METHODS``; 0 if all values are 0."""
        return 0.0 if self.largest == 0 else min(METHODS[method](self), self.largest)


def _minmax(histogram: Histogram) -> float:
    return histogram.largest


def _percentile(histogram: Histogram) -> float:
    """The magnitude that 99.99 % of the values do not exceed."""
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    return float((np.searchsorted(share, _PERCENTILE / 100) + 1) * histogram.limit / _BINS)


def _entropy(histogram: Histogram) -> float:
    """Least Kullback-Leibler divergence of the quantised from the clipped distribution (Migacz, GTC 2017).

    Unlike in the talk, the quantised distribution is divided by the count of all values. Normalised by itself, it would
    equal the clipped one if nearly all values are clipped, and magnitudes far from zero would lose their range.
    """
    counts = histogram.counts.astype(np.float64)
    counts[0] = counts[1]  # ReLU makes many exact zeros, which INT8 holds exactly
    ends = _candidates(LEVELS + 1)
    best = min(ends, key=lambda end: _divergence(counts, end))
    return float(best * histogram.limit / _BINS)


def _divergence(counts: npt.NDArray[np.float64], end: int) -> float:
    reference = counts[:end].copy()
    groups = np.arange(end) * (LEVELS + 1) // end
    seen = reference > 0
    total = np.bincount(groups, reference, LEVELS + 1)
    sharers = np.bincount(groups, seen, LEVELS + 1)
    quantised = np.where(seen, total[groups] / np.maximum(sharers[groups], 1), 0.0)
    reference[-1] += counts[end:].sum()
    quantised[-1] = max(quantised[-1], 1e-9)  # without the clipped values, their bin may be empty
    p, q = reference / reference.sum(), quantised / counts.sum()
    kept = p > 0
    return float(np.sum(p[kept] * np.log(p[kept] / q[kept])))


def _mse(histogram: Histogram) -> float:
    """Least mean squared error of rounding and clipping."""
    centres = (np.arange(_BINS) + 0.5) / _BINS
    weights = histogram.counts.astype(np.float64)
    weights[0] = 0.0

    def error(end: int) -> float:
        step = end / _BINS / LEVELS
        rounded = np.minimum(np.round(centres / step), LEVELS) * step
        return float(weights @ (rounded - centres) ** 2)

    return float(min(_candidates(_STRIDE), key=error) * histogram.limit / _BINS)


def _candidates(first: int) -> range:
    return range(first, _BINS + 1, _STRIDE)


METHODS: dict[str, Callable[[Histogram], float]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}
