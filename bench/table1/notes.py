"""What is needed to repeat the table, and to read it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mostnet.bench.machine import describe_machine
from mostnet.contract.versions import installed_versions

from .budget import Budget
from .rows import ESTRNN, published
from .speed import Speeds
from .table import TableRow

#: A shorter training says nothing of how good a network can be.
_SHORT_MINUTES = 60.0
#: Parameters are those of the source if they differ by less than this share.
_NEARLY = 0.02
_PACKAGES = ("mostnet", "torch", "torchvision", "segmentation-models-pytorch", "onnxruntime", "numpy", "opencv-python")


def facts(args: argparse.Namespace, line: str, data: Path, budget: Budget, speeds: Speeds | None) -> dict[str, object]:
    """What is needed to repeat the table."""
    machine = describe_machine(gpu=_on_gpu(speeds))
    size = f"{args.size[0]}x{args.size[1]}"
    name = "drawn scenes" if args.data is None else data.resolve().name
    return {
        "title": f"{name}, {budget.minutes:g} min of training each; {size} on {machine.cpu}",
        "command": line,
        "data": data.resolve().name,
        "budget": vars(budget),
        "size_hw": list(args.size),
        "machine": vars(machine),
        "devices": {} if speeds is None else dict(speeds.devices),
        "versions": installed_versions(_PACKAGES),
    }


def notes(
    args: argparse.Namespace, data: Path, budget: Budget, rows: Sequence[TableRow], speeds: Speeds | None
) -> tuple[str, ...]:
    """Sentences on how to read the table."""
    return (
        *(_on_quality(args, data.resolve().name, budget, rows) if "quality" in args.parts else ()),
        *(() if speeds is None else _on_speed(args, speeds)),
        "GFLOP counts two per multiply-add of convolutions and matrix products, at the size that is timed.",
        *(note for row in rows for note in _on_row(row)),
    )


def _on_row(row: TableRow) -> list[str]:
    """What sets a row apart from that of the source."""
    lines = []
    theirs = published(row.name).parameters_m
    if row.cost is not None and theirs is not None and abs(row.cost.parameters_m / theirs - 1) > _NEARLY:
        ours = f"{row.cost.parameters_m:.2f}"
        lines.append(f"{row.name} has {ours} M parameters here; Table I says {theirs:.1f} M.")
    if row.name == ESTRNN:
        lines.append(
            f"{row.name} sees four past frames instead of two past and two future ones, because a live picture has no "
            "future."
        )
    return lines


def _on_gpu(speeds: Speeds | None) -> bool:
    return speeds is not None and any(where.startswith("cuda") for where in speeds.devices.values())


def _on_quality(args: argparse.Namespace, data: str, budget: Budget, rows: Sequence[TableRow]) -> list[str]:
    trained = ", ".join(f"{row.name} {row.steps:,}" for row in rows if row.steps is not None)
    short = (
        " This is far too short for all of them, and more so for large ones. These columns show that everything runs, "
        "and not how good a network can be."
    )
    crop = f"{budget.crop_hw[0]}x{budget.crop_hw[1]}"
    return [
        f"Quality: every network was trained from scratch for {budget.minutes:g} minutes on {budget.threads} cores, on "
        f"clips of {crop} from {data}/train.{short if budget.minutes < _SHORT_MINUTES else ''} The combination is made "
        "of three rows.",
        f"Optimiser steps in this time: {trained}.",
        f"Measured on at most {args.sequences} sequences of {data}/test, at most {args.frames} frames each, in the "
        "source's convention: IoU is the mean over frames, PSNR and SSIM are those of torchmetrics.",
    ]


def _on_speed(args: argparse.Namespace, speeds: Speeds) -> list[str]:
    machine = describe_machine(gpu=_on_gpu(speeds))
    ways = "; ".join(f"{way}: {where}" for way, where in speeds.devices.items())
    lines = [
        f"Speed: whole frames of {args.size[0]}x{args.size[1]}, host to host, {args.threads} CPU threads, the best of "
        f"{args.rounds} rounds in which every method runs one frame in turn. {ways}. {machine.cpu}, "
        f"{machine.usable_cores} cores."
    ]
    return [*lines, f"No figures of TensorRT: {speeds.no_plans}."] if speeds.no_plans else lines
