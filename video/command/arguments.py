"""The arguments of ``mostnet-run``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mostnet.contract.arguments import count_from_zero
from mostnet.contract.terminal import CommandParser
from mostnet.video.files.opening import STDIN, is_address
from mostnet.video.reader import named_clip
from mostnet.video.steady.options import StabiliserOptions

from .options import add_engine_options, add_run_options, check_options

NAME = "mostnet-run"


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
    live = bool(options.status) and isinstance(video_source(options.video), int)
    stabilise = check_options(parser, options, live=live)
    if options.output is None and not options.view:
        parser.error("give --output, --view or both")
    if options.still is not None and options.output is None:
        parser.error("--still writes a picture; give its name with --output, such as still.png")
    if options.still is not None and options.frames is not None:
        parser.error("--still ends the run by itself; leave out --frames")
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
    add_engine_options(parser)
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
    add_run_options(parser)
    return parser
