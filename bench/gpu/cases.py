"""The cases of a GPU report, and the files of one case."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mostnet.contract import MIN_SIDE, MeasurementError

#: Files of a case: the ONNX graph, the request for its plan, its facts, its frames, and the float32 reference.
GRAPH, REQUEST, FACTS, FRAMES, REFERENCE = "case.onnx", "request.json", "case.json", "frames.npy", "reference.npz"

#: Files that every part needs, and the checkpoint, which only PyTorch and the stand-in need.
PREPARED = (GRAPH, REQUEST, FACTS, FRAMES, REFERENCE)
CHECKPOINT = "case.pt"

#: Plan file of each TensorRT: classic TensorRT, TensorRT for RTX, the stand-in.
PLANS = {"tensorrt": "case.plan", "rtx": "case-rtx.plan", "standin": "case-standin.plan"}

#: Libraries to measure, each with its own worker.
PARTS = (*PLANS, "ort", "torch")

#: The parts in text that people read.
PART_NAMES = {
    "tensorrt": "TensorRT",
    "rtx": "TensorRT for RTX",
    "standin": "stand-in",
    "ort": "ONNX Runtime",
    "torch": "PyTorch",
}

VARIANTS = ("dw", "sw", "nano")
#: ESTRNN, RAFT and DeepLabv3+ together, with which the source compares its speed; see ``mostnet.model.table1``.
COMBINATION = "combination"
SIZES = ((480, 640), (800, 800), (720, 1280), (1080, 1920))
PRECISIONS = ("fp16", "fp32")

_NAMED_SIZES = {"720p": (720, 1280), "1080p": (1080, 1920)}
_PREPARE = "python -m mostnet.bench.gpu.prepare"

#: Facts that the report reads.
_KNOWN_FACTS = {"flops", "weight_bytes", "least_bytes", "frames"}

#: All frames of a case's reference together have at most this many pixels.
_REFERENCE_PIXELS = 200 * 480 * 640
_LEAST_FRAMES = 10

#: At most this many frames of a scene are drawn. A longer case shows them forwards and backwards. Drawing a frame of
#: 480x640 takes as long as ten frames of the shipped network.
MOST_DRAWN = 60


@dataclass(frozen=True)
class Case:
    """One network at one frame size in one precision.

    Attributes:
        compute_ms: the stand-in computes for this long instead of running the network; None runs the network.
    """

    variant: str
    size_hw: tuple[int, int]
    precision: str = "fp16"
    compute_ms: float | None = None

    @property
    def name(self) -> str:
        """For example ``dw-480x640-fp16``; also the name of its folder."""
        timed = "" if self.compute_ms is None else f"-{self.compute_ms:g}ms"
        return f"{self.variant}-{self.size_hw[0]}x{self.size_hw[1]}-{self.precision}{timed}"

    @property
    def reference_frames(self) -> int:
        """Number of frames of the reference: 200 at 480x640, fewer at larger sizes, at least 10."""
        return max(_LEAST_FRAMES, min(200, _REFERENCE_PIXELS // (self.size_hw[0] * self.size_hw[1])))

    @classmethod
    def parse(cls, text: str) -> Case:
        """Read ``VARIANT-SIZE`` or ``VARIANT-SIZE-PRECISION``, where SIZE is ``HxW``, ``720p`` or ``1080p``.

        Raises:
            MeasurementError: the text has another form, a part of it is unknown, or a side is too short for a network.
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
        if variant not in (*VARIANTS, COMBINATION) or precision not in PRECISIONS or size_hw == (0, 0):
            raise MeasurementError(
                f"{text!r} is no case; expected VARIANT-SIZE or VARIANT-SIZE-PRECISION, such as dw-480x640 or "
                f"nano-720p-fp32; VARIANT is {', '.join(VARIANTS)} or {COMBINATION}"
            )
        if min(size_hw) < MIN_SIDE:
            raise MeasurementError(f"{text!r} is no case; each side of its size must be at least {MIN_SIDE} pixels")
        return cls(variant, size_hw, precision)


#: Ordered by size; the combination only if it is asked for.
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
        MeasurementError: the folder is not prepared, or an earlier version prepared it; the error says what it lacks.
    """
    if not (folder / FACTS).is_file():
        raise MeasurementError(f"{folder}: not prepared; run {_PREPARE} {folder.parent}")
    lacking = [name for name in PREPARED if not (folder / name).is_file()]
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        lacking += sorted(_KNOWN_FACTS - facts.keys())
    except (ValueError, AttributeError):
        lacking.append(f"JSON in {FACTS}")
    if lacking:
        raise MeasurementError(
            f"{folder}: not complete, or prepared by an earlier version: it has no {', '.join(lacking)}; remove the "
            f"folder, and run {_PREPARE} {folder.parent}"
        )
    return facts


def plan_path(folder: Path, flavour: str) -> Path:
    """The case's plan for ``tensorrt``, ``rtx`` or ``standin``. A case can have all three."""
    return folder / PLANS[flavour]


def is_built(folder: Path, flavour: str) -> bool:
    """Whether the case has a plan of ``flavour`` and its description; always false for a warp, which builds quickly."""
    path = plan_path(folder, flavour)
    return path.is_file() and path.with_name(f"{path.name}.json").is_file()
