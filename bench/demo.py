"""``python -m mostnet.bench.demo``: export, run and measure the shipped network on this machine."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import cv2

from mostnet.contract import BackendNotInstalledError, write_bytes
from mostnet.contract.terminal import CommandParser, command, complain
from mostnet.export.cli import main as export_main
from mostnet.export.plan.flavour import choose_flavour
from mostnet.video import VideoReader, demo_clip
from mostnet.video.cli import main as run_main

from .cli import main as bench_main

_VARIANT = "nano"
_SIZE = "480x640"
#: Index of the grid video's frame that is saved as a picture.
_STILL = 40

_NOTICE = """\
The shipped weights were trained on drawn scenes and photographs (model card: api/weights/nano.md).
Not for clinical use."""


@command("demo", extra="export")
def main(argv: Sequence[str] | None = None) -> int:
    """Run every step in the folder ``demo``; returns the exit status of the first step that fails."""
    _parser().parse_args(argv)
    folder = Path("demo")
    folder.mkdir(exist_ok=True)
    graph, engine = (folder / f"{_VARIANT}-{_SIZE}-{precision}.onnx" for precision in ("fp16", "fp32"))
    video, picture, plot = folder / "grid.mp4", folder / "grid.png", folder / "latency.png"
    steady = folder / "steady.mp4"
    clip = str(demo_clip())
    print(_NOTICE)
    export = [_VARIANT, "--size", _SIZE, "--output", str(folder)]
    verify = ["--verify", clip, "--verify-frames", "20"]
    run = [clip, "--engine", str(engine), "--output"]
    bench = ["--engine", str(engine), "--video", clip, "--frames", "60", "--warmup", "5", "--plot", str(plot)]
    steps: list[tuple[str, Callable[[list[str]], int], list[str]]] = [
        ("mostnet-export", export_main, [*export, "--fp16", *_builder_arguments(), *verify]),
        # A CPU computes FP16 graphs in FP32, with casts in between, so the FP32 graph is faster there.
        ("mostnet-export", export_main, [*export, "--fp32", "--onnx-only"]),
        ("mostnet-run", run_main, [*run, str(video), "--layout", "grid"]),
        ("mostnet-run", run_main, [*run, str(steady), "--layout", "side-by-side", "--steady", "hand"]),
        ("mostnet-bench", bench_main, bench),
    ]
    for name, call, arguments in steps:
        print(f"\n$ {name} {shlex.join(arguments)}", flush=True)
        status = call(arguments)
        if status != 0:
            complain("demo", f"{name} failed with exit status {status}")
            return status
    _write_still(video, picture)
    print("\nWritten:")
    for path in (graph, graph.with_suffix(".plan"), engine, video, steady, picture, plot):
        if path.exists():
            print(f"  {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    return CommandParser(
        prog="python -m mostnet.bench.demo",
        description="Export the shipped network, run the demo clip through it, steady the clip, and measure the "
        "network on this machine. All files go to the folder demo, here.",
    )


def _builder_arguments() -> list[str]:
    """``--onnx-only`` if no TensorRT is installed, else nothing."""
    try:
        choose_flavour("auto")
    except BackendNotInstalledError as error:
        print(f"No TensorRT plan is built: {error}")
        return ["--onnx-only"]
    return []


def _write_still(video: Path, picture: Path) -> None:
    with VideoReader(video) as reader:
        frame = next(islice(reader, _STILL, None))
    write_bytes(picture, cv2.imencode(".png", frame)[1].tobytes())


if __name__ == "__main__":
    sys.exit(main())
