"""The cases of a GPU report, the files of one case, and the options of a report."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mostnet.contract import MeasurementError, PlanInfo

PARTS = ("tensorrt", "torch", "ort")

#: Files of a case: the ONNX graph, the request for its plan, and the plan.
GRAPH, REQUEST, FACTS, PLAN = "case.onnx", "request.json", "case.json", "case.plan"

VARIANTS = ("dw", "sw", "nano")
SIZES = ((480, 640), (720, 1280), (1080, 1920))
PRECISIONS = ("fp16", "fp32")

_NAMED_SIZES = {"720p": (720, 1280), "1080p": (1080, 1920)}

#: Most pixels in all frames of a case's reference together.
_REFERENCE_PIXELS = 200 * 480 * 640
_LEAST_FRAMES = 10


@dataclass(frozen=True)
class Case:
    """One network at one frame size in one precision."""

    variant: str
    size_hw: tuple[int, int]
    precision: str = "fp16"

    @property
    def name(self) -> str:
        """For example ``dw-480x640-fp16``; also the name of its folder."""
        return f"{self.variant}-{self.size_hw[0]}x{self.size_hw[1]}-{self.precision}"

    @property
    def reference_frames(self) -> int:
        """Number of frames of the reference: 200 at 480x640, fewer at larger sizes, at least 10."""
        return max(_LEAST_FRAMES, min(200, _REFERENCE_PIXELS // (self.size_hw[0] * self.size_hw[1])))

    @classmethod
    def parse(cls, text: str) -> Case:
        """Read ``VARIANT-SIZE`` or ``VARIANT-SIZE-PRECISION``, where SIZE is ``HxW``, ``720p`` or ``1080p``.

        Raises:
            MeasurementError: the text has another form, or a part of it is unknown.
        """
        parts = text.strip().split("-")
        variant, size, precision = (*parts, "fp16")[:3] if len(parts) in (2, 3) else ("", "", "")
        height, _, width = size.partition("x")
        if size in _NAMED_SIZES:
            size_hw = _NAMED_SIZES[size]
        elif height.isdigit() and width.isdigit():
            size_hw = int(height), int(width)
        else:
            size_hw = (0, 0)
        if variant not in VARIANTS or precision not in PRECISIONS or size_hw == (0, 0):
            raise MeasurementError(
                f"{text!r} is no case; expected VARIANT-SIZE or VARIANT-SIZE-PRECISION, such as dw-480x640 or "
                "nano-720p-fp32"
            )
        return cls(variant, size_hw, precision)


#: Ordered by size; the case with absolute goals is first, because time on a GPU machine is short.
ALL_CASES = tuple(Case(variant, size_hw) for size_hw in SIZES for variant in VARIANTS)


def parse_cases(text: str) -> tuple[Case, ...]:
    """Cases of a comma-separated list, for ``argparse``."""
    try:
        return tuple(dict.fromkeys(Case.parse(name) for name in text.split(",")))
    except MeasurementError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def is_prepared(folder: Path) -> bool:
    """Whether ``mostnet.bench.gpu.prepare`` has written the case, in the form of this version."""
    return all((folder / name).is_file() for name in (FACTS, REQUEST))


def read_facts(folder: Path) -> dict[str, Any]:
    """The facts that ``mostnet.bench.gpu.prepare`` wrote about a case: FLOPs, least bytes, versions.

    Raises:
        MeasurementError: the folder has not been prepared.
    """
    path = folder / FACTS
    if not path.is_file():
        raise MeasurementError(f"{folder}: not prepared; run python -m mostnet.bench.gpu.prepare {folder.parent}")
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def is_built(folder: Path, flavour: str) -> bool:
    """Whether the case has a plan of ``flavour`` and its description; always false for a warp, which builds quickly."""
    path = folder / f"{PLAN}.json"
    if not (folder / PLAN).is_file() or not path.is_file():
        return False
    return PlanInfo.from_json(path.read_text(encoding="utf-8"), source=str(path)).flavour == flavour


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What to measure, where, and for how long.

    Attributes:
        out: folder for JSON, Markdown, plot and log.
        cases: folder of the prepared cases.
        only: the cases, in this order.
        pythons: interpreter of each part to measure.
        flavour: flavour of TensorRT that builds and runs the plans, ``tensorrt`` or ``rtx``.
        opset: ONNX opset of new graphs.
        rounds: number of rounds of each method.
        frames: largest number of frames of a round.
        seconds: largest duration of a round.
        minutes: no new round begins after this time; None has no limit.
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
