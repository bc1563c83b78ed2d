"""Capacity by arithmetic and simulation: cameras of a server, cameras of a network link, cores of an archive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mostnet.contract import OutputName, input_spec, output_specs

from .figures import phases_ms
from .simulate import CameraModel, ServerModel, simulate

#: Frames of a simulation, of all cameras together, and runs with other phases of the cameras; the worst run counts.
FRAMES = 3000
SEEDS = (0, 1, 2)
#: At least this many frames of each camera, since a queue needs some periods to grow.
_LEAST_FRAMES = 20


def most_at_full_load(server: ServerModel, *, fps: float) -> int:
    """Cameras whose frames take no more time than the places have; with one more, frames are dropped."""
    mean_ms = float(np.mean(server.service_ms[-1]))
    return math.floor(server.places * 1e3 / (mean_ms * fps) + 1e-9)


def most_in_time(server: ServerModel, *, fps: float, factor: float = 1.0) -> int:
    """Cameras that a server carries while the 95th percentile of the latency is at most ``factor`` frame periods.

    It simulates numbers of cameras by bisection, with random phases, and takes the worst of ``SEEDS``.
    """
    limit_ms = factor * 1e3 / fps

    def is_in_time(cameras: int) -> bool:
        seconds = max(_LEAST_FRAMES, FRAMES / cameras) / fps
        for seed in SEEDS:
            models = [CameraModel(fps=fps, phase_ms=phase) for phase in phases_ms(cameras, fps=fps, seed=seed)]
            p95_ms = simulate(server, models, seconds=seconds, seed=seed).percentile_ms(95)
            if p95_ms is None or p95_ms > limit_ms:
                return False
        return True

    low, high = 0, most_at_full_load(server, fps=fps) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_in_time(middle) else (low, middle)
    return low


@dataclass(frozen=True, kw_only=True)
class FrameTraffic:
    """Bytes of one uncompressed frame to the server, and of its outputs back."""

    bytes_in: int
    bytes_out: int

    @classmethod
    def of(cls, size_hw: tuple[int, int], outputs: Sequence[OutputName]) -> FrameTraffic:
        """The traffic of frames of a size, ``(height, width)`` in pixels, with some outputs."""
        specs = [input_spec(size_hw), *(spec for spec in output_specs(size_hw) if spec.name in outputs)]
        frame, *results = (math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in specs)
        return cls(bytes_in=frame, bytes_out=sum(results))

    def most_cameras(self, gigabits: float, *, fps: float) -> int:
        """Cameras that fill a link of ``gigabits`` per second in its busier direction; both ways have that rate."""
        return math.floor(gigabits * 1e9 / 8 / (max(self.bytes_in, self.bytes_out) * fps))


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Videos to work through.

    Attributes:
        videos, minutes, fps: their number, length and frame rate.
    """

    videos: int = 10_000
    minutes: float = 10.0
    fps: float = 25.0

    @property
    def frames(self) -> float:
        """Frames of all videos."""
        return self.videos * self.minutes * 60 * self.fps

    def core_hours(self, frame_ms: float) -> float:
        """Processor time at ``frame_ms`` for each frame."""
        return self.frames * frame_ms / 3.6e6

    def hours(self, frame_ms: float, *, cores: int) -> float:
        """Time with one one-thread worker on each core, and the last videos spread evenly."""
        rounds = math.ceil(self.videos / cores)  # a worker does whole videos
        return rounds * self.core_hours(frame_ms) / self.videos

    def megabytes_a_second(self, frame_ms: float, frame_bytes: float, *, cores: int) -> float:
        """Traffic of ``cores`` workers with a file system, at ``frame_bytes`` read and written for each frame."""
        return cores * 1e3 / frame_ms * frame_bytes / 1e6
