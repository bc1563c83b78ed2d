"""``mostnet``: lists the commands, prints versions, and says what this machine can do."""

from __future__ import annotations

import argparse
import platform
import sys
from contextlib import suppress
from importlib import import_module

from mostnet.contract.nvidia_smi import query_gpus
from mostnet.contract.terminal import CommandParser, command
from mostnet.contract.versions import known_versions

#: Every command, and what it does.
COMMANDS = {
    "mostnet doctor": "says what this machine can do, and how to install the rest",
    "mostnet-run": "runs a video through an engine",
    "mostnet-export": "exports a checkpoint to .onnx and .plan, and verifies both",
    "mostnet-archive": "runs all videos of an archive, on this machine or on a Ray cluster",
    "mostnet-bench": "measures an engine, also at a camera's rate",
    "mostnet-train": "trains on your data, drawn scenes and photographs",
    "mostnet-eval": "measures a checkpoint or model on a data set",
    "mostnet-synth": "writes drawn scenes and moving photographs, labelled",
    "mostnet-label": "writes missing flow labels",
    "python -m mostnet.model": "lists the variants; init makes an untrained checkpoint",
    "python -m mostnet.video.steady.cli": "measures how steady videos are",
    "python -m mostnet.bench.steady.report": "compares the stabiliser with other methods",
    "python -m mostnet.bench.steady.filters": "compares steady paths",
    "python -m mostnet.bench.steady.teeth_seen": "measures how often teeth are seen",
    "python -m mostnet.bench.gpu.prepare": "prepares cases for a GPU machine",
    "python -m mostnet.bench.gpu.build": "builds the plans of prepared cases",
    "python -m mostnet.bench.gpu.report": "measures plans and PyTorch on a GPU",
    "python -m mostnet.bench.scale.cameras": "measures cameras at a server here, and simulates the same",
    "python -m mostnet.bench.scale.stages": "measures what a frame of an archive costs, stage by stage",
    "python -m mostnet.bench.scale.plan": "computes what many cameras and videos need",
    "python -m mostnet.bench.scale.draw": "draws what cameras measured",
    "python -m mostnet.serve.triton.server": "serves cameras from this machine, through Triton's server",
    "python -m mostnet.training.evaluation.tables": "makes an ablation table or a model card",
}
#: Distributions whose versions matter.
_PACKAGES = (
    "numpy",
    "opencv-python",
    "av",
    "onnxruntime",
    "onnxruntime-gpu",
    "torch",
    "onnx",
    "onnxscript",
    "tensorrt",
    "tensorrt-rtx",
    "pycuda",
    "cuda-bindings",
    "matplotlib",
    "ray",
    "tritonclient",
)


def versions() -> str:
    """Versions of mostnet, of everything that it computes with, and of the GPU's driver: one line each."""
    found = {"python": platform.python_version(), **known_versions(_PACKAGES)}
    with suppress(Exception):  # a broken PyAV has no FFmpeg; `mostnet doctor` says why
        found["ffmpeg"] = import_module("av").ffmpeg_version_info
    drivers = query_gpus("driver_version")
    if drivers:
        found["nvidia driver"] = drivers[0][0]
    lines = [f"mostnet {known_versions(['mostnet'])['mostnet']}"]
    for name in ("python", *_PACKAGES[:3], "ffmpeg", *_PACKAGES[3:], "nvidia driver"):
        lines.append(f"{name:16} {found.get(name, '-')}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {does}" for name, does in COMMANDS.items()]
    parser = CommandParser(
        prog="mostnet",
        description="MOST-NET+ for intra-oral video, exported once and run in real time.",
        epilog="\n".join(["commands (each has --help):", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=("doctor", "help"), help="doctor, or help for this text")
    parser.add_argument("--version", action="store_true", help="print the versions of everything that matters")
    return parser


@command("mostnet")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser()
    first = argv[0] if argv else "help"
    if first == "doctor":
        return _doctor(argv[1:])
    if first != "help" and not first.startswith("-"):
        known = f"mostnet-{first}" in COMMANDS
        parser.error(f"unknown command {first!r}" + (f"; run mostnet-{first}" if known else ""))
    args = parser.parse_args(argv)
    if args.version:
        print(versions())
    else:
        parser.print_help()
    return 0


def _doctor(argv: list[str]) -> int:
    parser = CommandParser(
        prog="mostnet doctor",
        description="Say what this machine can do, and how to install the rest.",
        epilog="Exit status: 0 if a video can run on the CPU, else 1.",
    )
    parser.parse_args(argv)
    from .doctor import abilities, report

    found = abilities()
    print(report(found))
    return 0 if all(ability.works for ability in found if ability.essential) else 1


if __name__ == "__main__":
    sys.exit(main())
