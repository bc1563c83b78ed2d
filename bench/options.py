"""The options of a benchmark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from mostnet.engine.options import PROVIDERS, Provider

from .paced import HOWS

#: A 99th percentile of fewer samples means nothing.
MIN_FRAMES = 10

#: The same for frames of a paced camera, whose rare late frames matter.
MIN_PACED_FRAMES = 100
DEFAULT_MINUTES = 1.0

#: Rates of a paced camera. Below the least, an interrupt would have to wait for the next frame.
LEAST_FPS, MOST_FPS = 1.0, 1000.0


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of one benchmark.

    Attributes:
        frames: timed frames of each part.
        warmup: untimed frames before each part.
        video: source of the frames, which are resized to the engine's size; None for a synthetic moving texture.
        compare: the engine's checkpoint, or a folder that holds it, to time in PyTorch side by side; None for no
            comparison.
        threads: CPU threads of the engine and of PyTorch; None for every core that this process may use.
        provider: ``auto``, ``cpu`` or ``cuda``, as in ``Engine``.
        seed: of the synthetic frames.
        paced: rates of a paced camera in FPS, ``LEAST_FPS`` to ``MOST_FPS``, each measured with ``stream`` and with
            ``infer``; empty for none.
        minutes: time for all paced runs together, without warm-up, shared so that each has as many frames; None for
            ``DEFAULT_MINUTES``.

    Raises:
        ValueError: a number is out of range, or the provider is unknown.
    """

    frames: int = 200
    warmup: int = 20
    video: Path | None = None
    compare: Path | None = None
    threads: int | None = None
    provider: Provider = "auto"
    seed: int = 0
    paced: tuple[float, ...] = ()
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.frames < MIN_FRAMES:
            raise ValueError(
                f"frames is {self.frames}; expected at least {MIN_FRAMES}, for percentiles to mean something"
            )
        if self.warmup < 0:
            raise ValueError(f"warmup is {self.warmup}; expected at least 0")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}; expected at least 1, or None for all cores")
        if self.provider not in PROVIDERS:
            raise ValueError(f"unknown provider {self.provider!r}; expected one of {list(PROVIDERS)}")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; expected at least 0")
        self._check_paced()

    @property
    def paced_frames(self) -> int:
        """Timed frames of each paced run."""
        minutes = DEFAULT_MINUTES if self.minutes is None else self.minutes
        return round(minutes / self._minutes_per_frame())

    def _check_paced(self) -> None:
        if not self.paced:
            if self.minutes is not None:
                raise ValueError("minutes is for a paced camera; give its rates too, for example --paced 25,30,60")
            return
        for fps in self.paced:
            if not LEAST_FPS <= fps <= MOST_FPS:
                raise ValueError(
                    f"a paced rate is {fps:g} FPS; expected {LEAST_FPS:g} to {MOST_FPS:g}, for example --paced 25,30,60"
                )
            if self.paced.count(fps) > 1:
                raise ValueError(f"the paced rate {fps:g} FPS is given twice; give each rate once")
        if self.minutes is not None and not (math.isfinite(self.minutes) and self.minutes > 0):
            raise ValueError(f"minutes is {self.minutes:g}; expected a number above 0, for example --minutes 3")
        if self.paced_frames < MIN_PACED_FRAMES:
            least = math.ceil(MIN_PACED_FRAMES * self._minutes_per_frame() * 100) / 100
            raise ValueError(
                f"{self.paced_frames} frames of each paced run are too few for a 99th percentile; expected at least "
                f"{MIN_PACED_FRAMES}: give --minutes {least:g} or more, or fewer rates"
            )

    def _minutes_per_frame(self) -> float:
        return len(HOWS) * sum(1 / fps for fps in self.paced) / 60
