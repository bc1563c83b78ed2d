"""What a GPU report measures, and with what."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from mostnet.contract import MeasurementError

from .cases import ALL_CASES, Case

PARTS = ("tensorrt", "torch", "ort")


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What to measure, and with what.

    Attributes:
        out: folder for JSON, Markdown, plot and log.
        cases: folder of the prepared cases.
        only: the cases, in this order.
        pythons: interpreter of each part; a part that is not in it is left out.
        flavour: TensorRT that builds and runs the plans, ``tensorrt`` or ``rtx``.
        opset: of graphs that are made here.
        rounds: of each method, side by side.
        frames: of each round, at most.
        seconds: of each round, at most, where a frame is slow.
        minutes: after which no new round begins; None has no limit.
        resume: keep the cases that an earlier run measured completely.
    """

    out: Path
    cases: Path
    only: tuple[Case, ...] = ALL_CASES
    pythons: dict[str, str] = field(default_factory=lambda: dict.fromkeys(PARTS, sys.executable))
    flavour: str = "tensorrt"
    opset: int = 17
    rounds: int = 5
    frames: int = 300
    seconds: float = 1.0
    minutes: float | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.frames < 10 or not self.seconds > 0:
            raise MeasurementError(
                f"rounds {self.rounds}, frames {self.frames}, seconds {self.seconds}: expected at least 1 round, 10 "
                "frames, and more than 0 seconds"
            )
        if unknown := self.pythons.keys() - set(PARTS):
            raise MeasurementError(f"unknown parts {sorted(unknown)}; expected some of {list(PARTS)}")
