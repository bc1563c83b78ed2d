"""The options of ``mostnet-export`` for a model repository of Triton."""

from __future__ import annotations

import argparse
from pathlib import Path

from mostnet.contract import ExportError
from mostnet.contract.arguments import positive_float, positive_int

from .options import TritonOptions


def add_triton(parser: argparse.ArgumentParser) -> None:
    """Add the options as a group."""
    add = parser.add_argument_group("model repository of Triton").add_argument
    add(
        "--triton",
        type=Path,
        metavar="REPOSITORY",
        help="also write the models for Triton: graphs for its ONNX Runtime backend, classic plans for its TensorRT "
        "backend, and a README on how to run the server; a model that is there gets a new version",
    )
    add(
        "--triton-cameras",
        type=positive_int,
        metavar="N",
        help=f"cameras that the server takes at a time (default: {TritonOptions.cameras})",
    )
    add(
        "--triton-idle",
        type=positive_float,
        metavar="SECONDS",
        help="time after the arrival of its last frame when a camera loses its place and its state; more than the "
        f"time of a frame, times the cameras (default: {TritonOptions.idle_s:g})",
    )


def triton_options(args: argparse.Namespace) -> TritonOptions | None:
    """The options of the command line; None without a repository.

    Raises:
        ExportError: an option that needs a repository is given without it, or the repository is a file.
    """
    if args.triton is None:
        for option, value in (("--triton-cameras", args.triton_cameras), ("--triton-idle", args.triton_idle)):
            if value is not None:
                raise ExportError(f"{option} needs --triton REPOSITORY")
        return None
    return TritonOptions(
        repository=args.triton,
        cameras=args.triton_cameras or TritonOptions.cameras,
        idle_s=args.triton_idle or TritonOptions.idle_s,
    )
