"""What to measure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mostnet.engine.options import PROVIDERS

#: A 99th percentile of fewer samples says nothing.
MIN_FRAMES = 10


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Settings of one benchmark.

    Attributes:
        frames: timed frames of each part (latency, stream, overhead, comparison).
        warmup: untimed frames before each part.
        video: where the frames come from, resized to the engine's size; None makes a synthetic moving texture.
        compare: checkpoint of the engine, timed in PyTorch side by side; a folder is searched for it; None leaves
            the comparison out.
        threads: CPU threads of the engine, and of PyTorch; None takes every core this process may use.
        provider: as ``Engine`` takes it: ``auto``, ``cpu`` or ``cuda``.
        seed: of the synthetic frames.

    Raises:
        ValueError: a number out of range or an unknown provider.
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
