"""``mostnet-export``: the command line of ``mostnet.export.export_sizes``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from mostnet.contract.arguments import size_hw
from mostnet.contract.shipped import checkpoint_path
from mostnet.contract.terminal import PLAIN, CommandParser, command
from mostnet.export.plan.flavour import DEFAULT_TARGETS
from mostnet.export.triton.arguments import add_triton, triton_options

from .calibration_cli import add_calibration, calibration_options
from .options import SUPPORTED_OPSETS, TRACED_OPSET, ExportOptions

if TYPE_CHECKING:
    from .exporter import ExportResult

#: Exit status of an export with a trivial verification: on its video the network does next to nothing.
TRIVIAL = 3

_USUAL_TARGETS = ",".join(DEFAULT_TARGETS)


def _targets(text: str) -> tuple[str, ...]:
    targets = tuple(target.strip() for target in text.split(",") if target.strip())
    if not targets:
        raise argparse.ArgumentTypeError(f"{text!r} names no architecture, such as sm_86")
    return targets


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mostnet-export",
        description="Export a trained checkpoint to ONNX and to a TensorRT plan.",
        epilog=f"Exit status: 0 done, 1 failed and nothing written, {TRIVIAL} written but verification was trivial.",
    )
    parser.add_argument(
        "checkpoint", metavar="ckpt.pt", help="a checkpoint file, or the name of a shipped one, such as nano"
    )
    precision = parser.add_mutually_exclusive_group()
    for name, text in (
        ("fp16", "half precision with float32 islands (default)"),
        ("fp32", "single precision"),
        ("int8", "8-bit convolutions, half precision elsewhere; needs --calib"),
    ):
        precision.add_argument(f"--{name}", dest="precision", action="store_const", const=name, help=text)
    parser.set_defaults(precision="fp16")
    parser.add_argument(
        "--size",
        type=size_hw("480x640"),
        action="append",
        metavar="HxW",
        help="frame size, or 720p or 1080p, or h1280xw720 for a portrait; repeatable, for one graph and plan per size, "
        "all or none (default: 480x640)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="folder for the files (default: .)"
    )
    parser.add_argument(
        "--opset", type=int, default=TRACED_OPSET, choices=SUPPORTED_OPSETS, help="ONNX opset (default: %(default)s)"
    )
    parser.add_argument(
        "--flavour",
        choices=("auto", "rtx", "tensorrt"),
        default="auto",
        help="TensorRT for RTX or classic TensorRT; auto: classic with a GPU, else RTX (default: %(default)s)",
    )
    parser.add_argument(
        "--target",
        type=_targets,
        metavar="sm_86,...",
        help=f"GPUs of an RTX plan (default: the GPU of this machine; without one {_USUAL_TARGETS})",
    )
    parser.add_argument(
        "--timing-cache", type=Path, metavar="FILE", help="cache of measured tactics, for classic TensorRT"
    )
    parser.add_argument("--onnx-only", action="store_true", help="write the graph without a plan; needs no TensorRT")
    parser.add_argument(
        "--verify", metavar="VIDEO", help="compare with float32 PyTorch on this video; demo is the clip of mostnet"
    )
    parser.add_argument(
        "--verify-frames", type=int, default=100, metavar="N", help="most frames to compare (default: %(default)s)"
    )
    parser.add_argument("--allow-trivial", action="store_true", help="exit 0 even if the verification was trivial")
    add_triton(parser)
    add_calibration(parser)
    return parser


def _clip(name: str | None) -> Path | None:
    if name is None:
        return None
    from mostnet.video.reader import named_clip  # needs PyAV, which an export without verification does without

    return named_clip(name)


def _options(args: argparse.Namespace) -> ExportOptions:
    return ExportOptions(
        precision=args.precision,
        output=args.output,
        opset=args.opset,
        onnx_only=args.onnx_only,
        flavour=args.flavour,
        targets=args.target,
        timing_cache=args.timing_cache,
        verify_video=_clip(args.verify),
        verify_frames=args.verify_frames,
        calibration=calibration_options(args),
        range_report=args.range_report,
        triton=triton_options(args),
    )


@command("mostnet-export", extra="export", interrupted="interrupted; nothing was written")
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    console = Console(file=sys.stdout, **PLAIN)
    options = _options(args)
    from .exporter import export_sizes  # needs torch and onnx, which --help does without

    results = export_sizes(checkpoint_path(args.checkpoint), options, args.size or [options.size_hw], console=console)
    return _report(results, console, allow_trivial=args.allow_trivial)


def _report(results: Sequence[ExportResult], console: Console, *, allow_trivial: bool) -> int:
    reasons: list[str] = []
    for result in results:
        for report in result.reports:
            console.print(report.table())
        for path in (result.onnx, result.plan):
            if path is not None:
                console.print(f"{path}  {path.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
        trivial = result.reports[0].trivial if result.reports else ()
        reasons += [reason if len(results) == 1 else f"{result.onnx.name}: {reason}" for reason in trivial]
    if results[0].metadata.precision == "int8" and not results[0].reports:
        console.print("not verified; --verify VIDEO compares it with float32 PyTorch")
    if not results[0].metadata.trained:
        console.print("The checkpoint is untrained: seeded initial weights.")
    if not reasons:
        return 0
    console.print(
        f"TRIVIAL verification, which a network that does nothing would pass: {'; '.join(reasons)}.", soft_wrap=True
    )
    if allow_trivial:
        return 0
    console.print("Verify a trained checkpoint on a degraded video of moving teeth, or pass --allow-trivial.")
    return TRIVIAL


if __name__ == "__main__":
    sys.exit(main())
