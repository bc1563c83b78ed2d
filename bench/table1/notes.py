"""What is needed to repeat the table, and to read it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from mostnet.bench.machine import describe_machine
from mostnet.contract.versions import installed_versions

from .speed import Speeds
from .train import Budget

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
    args: argparse.Namespace, data: Path, budget: Budget, steps: Mapping[str, int | None], speeds: Speeds | None
) -> tuple[str, ...]:
    """Sentences on how to read the table."""
    return (
        *(_on_quality(args, data.resolve().name, budget, steps) if "quality" in args.parts else ()),
        *(() if speeds is None else _on_speed(args, speeds)),
        "GFLOP counts two per multiply-add of convolutions and matrix products, at the size that is timed.",
        "UNet++ of segmentation-models-pytorch with a ResNet-50 has 48.99 M parameters; Table I says 50.0 M.",
        "ESTRNN sees four past frames instead of two past and two future ones, because a live picture has no future.",
    )


def _on_gpu(speeds: Speeds | None) -> bool:
    return speeds is not None and any(where.startswith("cuda") for where in speeds.devices.values())


def _on_quality(args: argparse.Namespace, data: str, budget: Budget, steps: Mapping[str, int | None]) -> list[str]:
    trained = ", ".join(f"{row} {count:,}" for row, count in steps.items() if count is not None)
    crop = f"{budget.crop_hw[0]}x{budget.crop_hw[1]}"
    return [
        f"Quality: every network was trained from scratch for {budget.minutes:g} minutes on {budget.threads} cores, on "
        f"clips of {crop} from {data}/train. This is far too short for all of them, and more so for large ones. These "
        "columns show that everything runs, and not how good a network can be. The combination is made of three rows.",
        f"Optimiser steps in this time: {trained}.",
        f"Measured on {args.sequences} sequences of {data}/test, {args.frames} frames each, in the source's "
        "convention: IoU is the mean over frames, PSNR and SSIM are those of torchmetrics.",
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
