"""``mostnet-run``: a video file or camera through an engine, from the command line."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from mostnet.contract import ENHANCED, VideoError
from mostnet.contract.arguments import frame_rate, positive_float, positive_int
from mostnet.contract.stopping import StopRequest
from mostnet.contract.terminal import PLAIN, command, complain
from mostnet.engine import Engine
from mostnet.video.files.opening import STDIN, is_address
from mostnet.video.steady.border import BORDERS
from mostnet.video.steady.options import MAX_LOOKAHEAD, STEADY, StabiliserOptions
from mostnet.video.steady.shutter.correction import AUTO, OFF

from .layouts import LAYOUTS
from .progress import RunProgress
from .reader import demo_clip
from .run import IncompleteVideoError, RunSummary, outputs_needed, run
from .threads import limit_opencv_threads
from .window import Window

_NAME = "mostnet-run"
_DEFAULTS = StabiliserOptions()
#: Options of the command line that are settings of the stabiliser, by the same name.
_STEADY_OPTIONS = ("steady", "lookahead", "crop", "border", "shutter")


@command(_NAME)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 for an error, or 128 + the number of the signal that stopped it."""
    parser = _parser()
    options, others = parser.parse_known_args(argv)
    if others and not others[0].startswith("-"):
        parser.error(f"{len(others) + 1} videos; give one, or a pattern of pictures in quotes: 'frames/*.png'")
    if others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    try:
        stabilise = _stabiliser_options(options)
    except ValueError as error:
        parser.error(str(error))
    if options.output is None and not options.view:
        parser.error("give --output, --view or both")
    limit_opencv_threads()
    outputs = outputs_needed(options.layout, stabilise=stabilise is not None)
    with Engine(options.engine, outputs=outputs) as engine:
        return _run(options, stabilise, engine)


def _run(options: argparse.Namespace, stabilise: StabiliserOptions | None, engine: Engine) -> int:
    failure: IncompleteVideoError | None = None
    with StopRequest(second=signal.default_int_handler) as stop:
        try:
            with RunProgress(Console(file=sys.stderr, **PLAIN)) as progress:
                summary = run(
                    _source(options.video),
                    engine,
                    options.output,
                    layout=options.layout,
                    frames=options.frames,
                    fps=options.fps,
                    flow_max_px=options.flow_max,
                    stabilise=stabilise,
                    read_ahead=options.lookahead is None,
                    status=options.status,
                    window=Window() if options.view else None,
                    progress=progress,
                    stop=stop.__bool__,
                )
        except IncompleteVideoError as error:
            summary, failure = error.summary, error
        except VideoError as error:  # a signal may end the wait for the first frame
            complain(_NAME, error)
            return 128 + stop.signal if stop.signal else 1
    _report(summary)
    if failure is not None:
        complain(_NAME, failure)
    # To close the window is no error.
    return 128 + stop.signal if summary.stopped and stop.signal else int(failure is not None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_NAME,
        description="Run a video through a MOST-NET+ engine and write the result as H.264 in MP4.",
    )
    parser.add_argument(
        "video",
        help="video file or pipe, - for standard input, folder or pattern of pictures ('frames/%%04d.png', "
        "'frames/*.png'), camera number, or 'demo' for the clip that comes with mostnet",
    )
    parser.add_argument(
        "--engine", type=Path, required=True, help="the exported model, model.onnx or model.plan", metavar="FILE"
    )
    parser.add_argument("--output", type=Path, help="MP4 file to write", metavar="OUT.mp4")
    parser.add_argument("--view", action="store_true", help="show the result in a window; q or Escape closes it")
    parser.add_argument("--layout", choices=LAYOUTS, default="enhanced", help="what to show (default: %(default)s)")
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
        help="steady the enhanced picture. vibration: remove only fast shake; hand: also the shake of a hand; "
        "hold: keep the view where it is while the crop allows it",
    )
    steady.add_argument("--stabilise", action="store_true", help=f"the same as --steady {_DEFAULTS.steady}")
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
        help="write tracking state and frame rate on the picture (default: only if it is stabilised or live)",
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
    given = {name: getattr(options, name) for name in _STEADY_OPTIONS if getattr(options, name) is not None}
    if not options.stabilise and options.steady is None:
        if given:
            name = next(iter(given))
            raise ValueError(
                f"--{name} has no effect without --steady; add --steady {_DEFAULTS.steady}, or drop --{name}"
            )
        return None
    if ENHANCED not in LAYOUTS[options.layout].needs:
        raise ValueError(f"only the enhanced picture is steadied, and --layout {options.layout} does not show it")
    return StabiliserOptions(**given)


def _source(text: str) -> str | Path | int:
    """Read VIDEO as an existing file or folder; without it, as a camera number, the demo clip, or another name."""
    if text.isdecimal() and not Path(text).exists():
        return int(text)
    if text == "demo" and not Path(text).is_file():  # not exists(): `make demo` leaves a folder named demo
        return demo_clip()
    return text if text == STDIN or is_address(text) else Path(text)


def _report(summary: RunSummary) -> None:
    stopped = ", stopped early" if summary.stopped else ""
    if not summary.frames:
        print(f"nothing written{stopped}")
        return
    name = summary.output or "shown"
    print(
        f"{name}: {summary.frames} frames at {float(summary.fps):g} FPS in {summary.elapsed_s:.1f} s "
        f"({summary.speed_fps:.1f} FPS), {_steadied(summary)}{_events(summary)}{summary.heals} healed{stopped}"
    )


def _steadied(summary: RunSummary) -> str:
    options = summary.stabilise
    return "" if options is None else f"steadied ({options.steady}, look-ahead {options.lookahead}), "


def _events(summary: RunSummary) -> str:
    """The special events that happened, with their counts."""
    counts = {
        "new scenes": summary.resets,
        "without tracking": summary.lost,
        "with a faded correction": summary.faded,
        "raw": summary.raw,
        "dropped": summary.dropped,
        "reconnects": summary.reconnects,
    }
    return "".join(f"{count} {name}, " for name, count in counts.items() if count)


if __name__ == "__main__":
    sys.exit(main())
