"""The arguments of ``mostnet-run``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from mostnet.contract import MIN_SIDE
from mostnet.contract.arguments import count_from_zero, frame_rate, positive_float, positive_int, size_hw
from mostnet.contract.terminal import CommandParser
from mostnet.video.files.opening import STDIN, is_address
from mostnet.video.layouts import LAYOUTS
from mostnet.video.reader import named_clip
from mostnet.video.steady.border import BORDERS
from mostnet.video.steady.options import MAX_LOOKAHEAD, STEADY, StabiliserOptions
from mostnet.video.steady.shutter.correction import AUTO, OFF

from .engines import USUAL_HW, is_exported

NAME = "mostnet-run"
_DEFAULTS = StabiliserOptions()
#: Options of the command line that are settings of the stabiliser, by the same name.
_STEADY_OPTIONS = ("steady", "lookahead", "crop", "border", "shutter")


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, StabiliserOptions | None]:
    """The options, and the settings of the stabiliser; ends the process with status 2 if they are wrong."""
    parser = _parser()
    options, others = parser.parse_known_args(argv)
    if others and not others[0].startswith("-"):
        parser.error(
            f"{len(others) + 1} videos; give one, a folder of videos, or a pattern of pictures in quotes: "
            "'frames/*.png'"
        )
    if others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    try:
        stabilise = _stabiliser_options(options)
    except ValueError as error:
        parser.error(str(error))
    if options.output is None and not options.view:
        parser.error("give --output, --view or both")
    if options.still is not None and options.output is None:
        parser.error("--still writes a picture; give its name with --output, such as still.png")
    if options.still is not None and options.frames is not None:
        parser.error("--still ends the run by itself; leave out --frames")
    if options.size is not None and min(options.size) < MIN_SIDE:
        height, width = options.size
        parser.error(f"--size is {height}x{width}; each side must be at least {MIN_SIDE} pixels")
    if options.status and stabilise is None and not isinstance(video_source(options.video), int):
        parser.error(
            f"--status has nothing to write on a file that is not steadied; add --steady {_DEFAULTS.steady}, or drop it"
        )
    if options.size is not None and is_exported(options.engine):
        parser.error(f"--size is for --engine NAME; {options.engine} has the size that it was exported with")
    return options, stabilise


def video_source(text: str) -> str | Path | int:
    """Read VIDEO as an existing file or folder; without it, as a camera number, the demo clip, or another name.

    Raises:
        VideoError: the demo clip is not installed.
    """
    if text.isdecimal() and not Path(text).exists():
        return int(text)
    return text if text == STDIN or is_address(text) else named_clip(text)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=NAME,
        description="Run a video through a MOST-NET+ engine and write the result as H.264 in MP4, or as PNG pictures.",
    )
    parser.add_argument(
        "video",
        help="video file or pipe, - for standard input, folder or pattern of pictures ('frames/%%04d.png', "
        "'frames/*.png'), folder of videos, camera number, or 'demo' for the clip that comes with mostnet",
    )
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
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="MP4 file to write, which replaces an earlier one; pictures, as OUT/%%05d.png, refused if there are some; "
        "or a folder for the results of a folder of videos, in which a result that exists is kept",
        metavar="OUT.mp4",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="with a folder of videos, do a video again even if its result exists"
    )
    parser.add_argument(
        "--still",
        type=count_from_zero,
        help="write only frame N, counted from 0, to --output STILL.png, which replaces an earlier one",
        metavar="N",
    )
    parser.add_argument("--view", action="store_true", help="show the result in a window; q or Escape closes it")
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
    return parser


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
