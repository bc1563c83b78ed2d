"""Camera motion in continuous time: hand motion, handpiece vibration, roll and zoom.

A path is a sum of sinusoids, so that its mean over an exposure has a closed form and no sampling rate limits it.
Vibration is narrow-band: each carrier is 30 to 120 Hz with sidebands a few hertz away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Number of parameters of a pose: x and y of the camera in pixels, roll in radians, logarithm of the zoom.
PARAMETERS = 4

_HAND_HZ = (0.08, 1.9)
_CARRIER_HZ = (30.0, 120.0)
_SIDEBAND_HZ = 2.5


@dataclass(frozen=True)
class CameraPath:
    """Camera pose against time.

    ``pose_p(t) = start_p + velocity_p t + sum_k amplitude_pk sin(2 pi frequency_k t + phase_pk)``

    Attributes:
        frequency_hz: ``(K,)``.
        amplitude: ``(4, K)``, per parameter in its unit.
        phase: ``(4, K)`` in radians.
        start: ``(4,)``: pose at rest.
        velocity: ``(4,)`` per second.
    """

    frequency_hz: Array
    amplitude: Array
    phase: Array
    start: Array
    velocity: Array

    def mean(self, time_s: Array, exposure_s: float) -> Array:
        """Mean pose over an exposure centred on each time, ``(4, *time_s.shape)``; the pose itself for 0 s."""
        # The mean of a sinusoid over a window is the sinusoid times sin(pi f e) / (pi f e), which is numpy's sinc.
        amplitude = self.amplitude * np.sinc(self.frequency_hz * exposure_s)
        angle = 2 * np.pi * np.multiply.outer(self.frequency_hz, time_s)
        # sin(a + p) = sin a cos p + cos a sin p: two sines per frequency serve all four parameters.
        swing = np.tensordot(amplitude * np.cos(self.phase), np.sin(angle), 1)
        swing += np.tensordot(amplitude * np.sin(self.phase), np.cos(angle), 1)
        rest = self.start.reshape(-1, *[1] * np.ndim(time_s))
        return np.asarray(rest + np.multiply.outer(self.velocity, time_s) + swing)

    def speed(self, exposure_s: float) -> Array:
        """Root mean square rate of the oscillations of the mean pose, ``(4,)`` per second."""
        rates = 2 * np.pi * self.frequency_hz * self.amplitude * np.sinc(self.frequency_hz * exposure_s)
        return np.asarray(np.linalg.norm(rates, axis=1) / np.sqrt(2))


def straight_path(velocity_xy: tuple[float, float]) -> CameraPath:
    """Uniform motion of the camera in pixels per second; the picture moves the other way."""
    none = np.zeros((PARAMETERS, 0))
    return CameraPath(np.zeros(0), none, none, np.zeros(PARAMETERS), np.array([*velocity_xy, 0.0, 0.0]))


def random_path(rng: np.random.Generator, *, hand: Array, vibration: Array) -> CameraPath:
    """A path whose hand motion and vibration have these standard deviations, ``(4,)`` each, in each parameter's unit.

    Slow components carry most of the hand motion, and low carriers most of the vibration, as in a mass on a spring.
    """
    slow_hz = np.sort(rng.uniform(*_HAND_HZ, 7))
    low, high = np.log(_CARRIER_HZ[0]), np.log(_CARRIER_HZ[1])
    carriers_hz = np.exp(rng.uniform(low, high, int(rng.integers(2, 5))))
    sidebands = np.concatenate([[0.0], rng.uniform(-_SIDEBAND_HZ, _SIDEBAND_HZ, 2)])
    fast_hz = (carriers_hz[:, None] + sidebands).ravel()
    slow = rng.uniform(0.5, 1, (PARAMETERS, len(slow_hz))) / (1 + (slow_hz / 1.5) ** 2)
    fast = rng.uniform(0.2, 1, (PARAMETERS, len(fast_hz))) * np.tile([1, 0.5, 0.5], len(carriers_hz)) * 40 / fast_hz
    amplitude = np.hstack([_with_deviation(slow, hand), _with_deviation(fast, vibration)])
    phase = rng.uniform(0, 2 * np.pi, amplitude.shape)
    rest = np.zeros(PARAMETERS)
    return CameraPath(np.concatenate([slow_hz, fast_hz]), amplitude, phase, rest, rest)


def _with_deviation(amplitude: Array, deviation: Array) -> Array:
    """Scale each row so that a sum of sinusoids of these amplitudes has the given deviation."""
    return np.asarray(amplitude * (deviation * np.sqrt(2) / np.linalg.norm(amplitude, axis=1))[:, None])
