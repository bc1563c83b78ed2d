"""The calibration options of ``mostnet-export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from mostnet.contract import ExportError

from .options import METHODS, RESTS, CalibrationOptions

#: Options that have no use without calibration data.
_NEEDS_DATA = (
    "calib_frames",
    "calib_resize",
    "calib_cache",
    "calib_stateless",
    "exclude",
    "accuracy_budget",
    "int8_state",
)


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """Add the options as a group."""
    usual = CalibrationOptions(data=Path())
    add = parser.add_argument_group("calibration, for --int8 and --range-report").add_argument
    add(
        "--calib",
        type=Path,
        metavar="VIDEO_OR_DATASET",
        help="a video, a folder ROOT/train/SEQUENCE/input/*.png, or demo for the clip of mostnet",
    )
    add("--calib-frames", type=int, metavar="N", help="frames to read (default: up to 100)")
    add("--calib-resize", action="store_true", help="scale frames of another size instead of refusing them")
    add("--calib-cache", type=Path, metavar="FILE.npz", help="read ranges from this file, or write it if it is missing")
    add("--calib-stateless", action="store_true", help="carry no state while calibrating, to see what this misses")
    add("--method", choices=METHODS, default=usual.method, help="way to choose the ranges (default: %(default)s)")
    add(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="convolutions or INT8 states that stay float; repeatable",
    )
    add("--accuracy-budget", action="store_true", help="keep the convolutions that cost most accuracy in float")
    add(
        "--budget-frames",
        type=int,
        default=usual.budget_frames,
        metavar="N",
        help="frames to measure accuracy on (default: %(default)s)",
    )
    add(
        "--rest",
        choices=RESTS,
        default=usual.rest,
        help="type of all other tensors of an INT8 graph (default: %(default)s)",
    )
    add("--int8-state", action="store_true", help="carry the state in INT8 too, in half the bytes")
    add("--range-report", action="store_true", help="find tensors that leave the FP16 range, and keep them in float32")


def calibration_options(args: argparse.Namespace) -> CalibrationOptions | None:
    """The options of the command line; None without calibration data.

    Raises:
        ExportError: an option that needs calibration data is given without it.
        VideoError: as ``named_clip``.
    """
    if args.calib is None:
        usual = CalibrationOptions(data=Path())
        stray = [name for name in _NEEDS_DATA if getattr(args, name)]
        stray += [name for name in ("method", "budget_frames", "rest") if getattr(args, name) != getattr(usual, name)]
        if stray:
            raise ExportError(f"--{stray[0].replace('_', '-')} needs --calib VIDEO_OR_DATASET")
        return None
    return CalibrationOptions(
        data=_data(args.calib),
        frames=args.calib_frames,
        resize=args.calib_resize,
        method=args.method,
        cache=args.calib_cache,
        carry_state=not args.calib_stateless,
        exclude=tuple(args.exclude),
        accuracy_budget=args.accuracy_budget,
        budget_frames=args.budget_frames,
        rest=args.rest,
        int8_state=args.int8_state,
    )


def _data(path: Path) -> Path:
    """The data, or the demo clip for ``demo`` if nothing else has this name."""
    if path.exists():
        return path
    from mostnet.video.reader import named_clip  # needs PyAV, which an export without calibration does without

    return named_clip(path)
