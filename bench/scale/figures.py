"""What a server did for its cameras: the same figures from a measurement and from a simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class CameraFigures:
    """One camera. Every frame that it captures is served or dropped.

    Attributes:
        captured, served, dropped: numbers of frames.
        latencies_ms: from capture to result, one for each frame served.
        refused: the server had no room for the camera, which then captured nothing.
    """

    captured: int = 0
    served: int = 0
    dropped: int = 0
    latencies_ms: tuple[float, ...] = ()
    refused: bool = False

    def percentile_ms(self, percent: float) -> float | None:
        """A percentile of the latency; None if no frame was served."""
        return float(np.percentile(self.latencies_ms, percent)) if self.latencies_ms else None

    def to_json(self) -> dict[str, Any]:
        """Counts and percentiles, without the samples."""
        counts = {key: value for key, value in asdict(self).items() if key != "latencies_ms"}
        return counts | {f"p{percent}_ms": self.percentile_ms(percent) for percent in (50, 95, 99)}


@dataclass(frozen=True, kw_only=True)
class ServerFigures:
    """All cameras of a server.

    Attributes:
        cameras: in the order in which they asked for a place.
        seconds: time in which they captured.
        utilisation: share of that time in which the places of the server worked, 0 to 1; it can pass 1, because the
            last frames are served after the last capture. None if nobody measured it.
    """

    cameras: tuple[CameraFigures, ...]
    seconds: float
    utilisation: float | None = None

    @property
    def admitted(self) -> tuple[CameraFigures, ...]:
        """Cameras that were not refused."""
        return tuple(camera for camera in self.cameras if not camera.refused)

    @property
    def served_fps(self) -> float:
        """Frames served per second and admitted camera."""
        admitted = self.admitted
        served = sum(camera.served for camera in admitted)
        return served / (len(admitted) * self.seconds) if admitted else 0.0

    @property
    def dropped_share(self) -> float:
        """Dropped frames as a share of those captured."""
        captured = sum(camera.captured for camera in self.cameras)
        return sum(camera.dropped for camera in self.cameras) / captured if captured else 0.0

    def percentile_ms(self, percent: float) -> float | None:
        """A percentile of the latency of all frames; None if none was served."""
        samples = [latency_ms for camera in self.cameras for latency_ms in camera.latencies_ms]
        return float(np.percentile(samples, percent)) if samples else None

    def to_json(self) -> dict[str, Any]:
        """The figures of the server, and those of each camera."""
        return {
            "seconds": self.seconds,
            "utilisation": self.utilisation,
            "refused": len(self.cameras) - len(self.admitted),
            "served_fps": self.served_fps,
            "dropped_share": self.dropped_share,
            **{f"p{percent}_ms": self.percentile_ms(percent) for percent in (50, 95, 99)},
            "cameras": [camera.to_json() for camera in self.cameras],
        }


def difference(simulated: float | None, measured: float | None) -> float | None:
    """Simulated minus measured, as a share of the measured; None if that says nothing."""
    return (simulated - measured) / measured if simulated is not None and measured else None


def phases_ms(cameras: int, *, fps: float, seed: int) -> Sequence[float]:
    """A delay within the frame period for each camera: real cameras do not start together."""
    return tuple(float(phase) for phase in np.random.default_rng(seed).uniform(0, 1e3 / fps, cameras))
