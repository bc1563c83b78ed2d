"""The options that ``mostnet-run`` and ``mostnet-archive`` share: the engine, what to show, the stabiliser."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from mostnet.contract import MIN_SIDE
from mostnet.contract.arguments import frame_rate, positive_float, positive_int, size_hw
from mostnet.video.layouts import LAYOUTS
from mostnet.video.steady.border import BORDERS
from mostnet.video.steady.options import MAX_LOOKAHEAD, STEADY, StabiliserOptions
from mostnet.video.steady.shutter.correction import AUTO, OFF

from .engines import USUAL_HW, is_exported

_DEFAULTS = StabiliserOptions()
#: Options of the command line that are settings of the stabiliser, by the same name.
_STEADY_OPTIONS = ("steady", "lookahead", "crop", "border", "shutter")


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the engine."""
    parser.add_argument(
        "--engine",
        default="nano",
        help="the exported model, model.onnx or model.plan; or a checkpoint, CKPT.pt or the name of a shipped one such "
        "as nano, which is exported once for the CPU (default: %(default)s)",
        metavar="FILE|NAME",
    )
    parser.add_argument(
        "--size",
        type=size_hw("480x640"),
        help="frame size of the engine made from a checkpoint: HxW, 720p or 1080p; the result keeps the video's size "
        f"(default: the shape of the video, with about as many pixels as {USUAL_HW[0]}x{USUAL_HW[1]})",
        metavar="HxW",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose what is shown, and those of the stabiliser."""
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="enhanced",
        help="what to show; original: the input, only steadied (default: %(default)s)",
    )
    parser.add_argument("--frames", type=positive_int, help="stop after N frames (default: all)", metavar="N")
    parser.add_argument(
        "--fps",
        type=frame_rate,
        help="frame rate of pictures (default: 25), and of a file that gives none or an impossible one",
        metavar="N",
    )
    parser.add_argument(
        "--flow-max",
        type=positive_float,
        help="length of flow shown in full colour, in pixels (default: follows the video)",
        metavar="PX",
    )
    _add_steady_options(parser)


def check_options(
    parser: argparse.ArgumentParser, options: argparse.Namespace, *, live: bool = False
) -> StabiliserOptions | None:
    """Check the options added here; end the process with status 2 if they are wrong.

    Returns the settings of the stabiliser. ``live`` says that the video is a camera.
    """
    try:
        stabilise = _stabiliser_options(options)
    except ValueError as error:
        parser.error(str(error))
    if options.size is not None and min(options.size) < MIN_SIDE:
        height, width = options.size
        parser.error(f"--size is {height}x{width}; each side must be at least {MIN_SIDE} pixels")
    if options.status and stabilise is None and not live:
        parser.error(
            f"--status has nothing to write on a file that is not steadied; add --steady {_DEFAULTS.steady}, or drop it"
        )
    if options.size is not None and is_exported(options.engine):
        parser.error(f"--size is for --engine NAME; {options.engine} has the size that it was exported with")
    return stabilise


def _add_steady_options(parser: argparse.ArgumentParser) -> None:
    steady = parser.add_argument_group("stabilisation")
    steady.add_argument(
        "--steady",
        choices=STEADY,
        help="steady the enhanced picture, or the input with --layout original. vibration: remove only fast shake; "
        "hand: also the shake of a hand; hold: keep the view where it is while the crop allows it",
    )
    steady.add_argument(
        "--stabilise", "--stabilize", action="store_true", help=f"the same as --steady {_DEFAULTS.steady}"
    )
    steady.add_argument(
        "--lookahead",
        type=int,
        help=f"delay in frames, 0 to {MAX_LOOKAHEAD}; more is steadier, and 0 shows what a live run would give "
        "(default: a second of a file, but at least 30 frames; 0 for a camera)",
        metavar="K",
    )
    steady.add_argument(
        "--crop",
        type=_number_or("auto"),
        help="share of height and width cropped off, 0.02 to 0.5, or auto to fit it to the shake "
        f"(default: {_DEFAULTS.crop})",
        metavar="F|auto",
    )
    steady.add_argument(
        "--border", choices=BORDERS, help=f"zoom in, or fill the empty border (default: {_DEFAULTS.border})"
    )
    steady.add_argument(
        "--shutter",
        type=_number_or(AUTO, OFF),
        help="readout of a rolling shutter as a share of the frame period, -1 to 1, auto to find it out, or off "
        f"(default: {_DEFAULTS.shutter})",
        metavar="S|auto|off",
    )
    steady.add_argument(
        "--status",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="write the tracking state, and the frame rate of a camera, on the picture (default: only if it is "
        "stabilised or live)",
    )


def _number_or(*words: str) -> Callable[[str], float | str]:
    """An argument type that reads a number or one of ``words``."""

    def convert(text: str) -> float | str:
        if text in words:
            return text
        try:
            return float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {' or '.join(words)}") from None

    return convert


def _stabiliser_options(options: argparse.Namespace) -> StabiliserOptions | None:
    if options.stabilise and options.steady is not None:
        raise ValueError(f"--stabilise is --steady {_DEFAULTS.steady}; give it or --steady {options.steady}, not both")
    given = {name: getattr(options, name) for name in _STEADY_OPTIONS if getattr(options, name) is not None}
    if not options.stabilise and options.steady is None:
        if given:
            name = next(iter(given))
            raise ValueError(
                f"--{name} has no effect without --steady; add --steady {_DEFAULTS.steady}, or drop --{name}"
            )
        if not LAYOUTS[options.layout].needs:
            raise ValueError(
                f"--layout {options.layout} shows the input, only steadied; add --steady {_DEFAULTS.steady}"
            )
        return None
    if LAYOUTS[options.layout].moved_picture is None:
        steadied = ", ".join(name for name, layout in LAYOUTS.items() if layout.moved_picture is not None)
        raise ValueError(f"--layout {options.layout} shows no picture that is steadied; expected one of {steadied}")
    return StabiliserOptions(**given)
