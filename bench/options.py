"""The options of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mostnet.engine.options import PROVIDERS

#: A 99th percentile of fewer samples means nothing.
MIN_FRAMES = 10


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

    Raises:
        ValueError: a number is out of range, or the provider is unknown.
    """

    frames: int = 200
    warmup: int = 20
    video: Path | None = None
    compare: Path | None = None
    threads: int | None = None
    provider: str = "auto"
    seed: int = 0

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
