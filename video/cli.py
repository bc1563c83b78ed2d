"""``mostnet-run``: a video file or camera through an engine, from the command line."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from mostnet.contract import ENHANCED, VideoError
from mostnet.contract.arguments import frame_rate, positive_float, positive_int
from mostnet.contract.stopping import StopRequest
from mostnet.contract.terminal import PLAIN, command, complain
from mostnet.engine import Engine
from mostnet.video.files.opening import STDIN, is_address
from mostnet.video.steady.border import BORDERS
from mostnet.video.steady.stabiliser import StabiliserOptions

from .layouts import LAYOUTS
from .progress import RunProgress
from .reader import demo_clip
from .run import IncompleteVideoError, RunSummary, outputs_needed, run
from .threads import limit_opencv_threads
from .window import Window

_NAME = "mostnet-run"


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
        _stabiliser_options(options)
    except ValueError as error:
        parser.error(str(error))
    if options.output is None and not options.view:
        parser.error("give --output, --view or both")
    limit_opencv_threads()
    outputs = outputs_needed(options.layout, stabilise=options.stabilise)
    with Engine(options.engine, outputs=outputs) as engine:
        return _run(options, engine)


def _run(options: argparse.Namespace, engine: Engine) -> int:
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
                    stabilise=_stabiliser_options(options),
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
    return 128 + (stop.signal or 0) if summary.stopped else int(failure is not None)


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
    steady = parser.add_argument_group("stabilisation")
    steady.add_argument("--stabilise", action="store_true", help="stabilise the enhanced picture on the teeth")
    steady.add_argument(
        "--lookahead",
        type=int,
        default=0,
        help="delay in frames, 0 to 30; 5 makes the picture steadier (default: %(default)s)",
        metavar="K",
    )
    steady.add_argument(
        "--crop",
        type=_crop_share,
        default="auto",
        help="share of height and width cropped off, 0.02 to 0.5, or auto (default: %(default)s)",
        metavar="F",
    )
    steady.add_argument(
        "--border", choices=BORDERS, default="crop", help="zoom in, or fill the empty border (default: %(default)s)"
    )
    steady.add_argument(
        "--status",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="write tracking state and frame rate on the picture (default: only if it is stabilised or live)",
    )
    return parser


def _crop_share(text: str) -> float | Literal["auto"]:
    """A share of the frame, or ``auto``, from a command line."""
    return "auto" if text == "auto" else float(text)


def _stabiliser_options(options: argparse.Namespace) -> StabiliserOptions | None:
    if not options.stabilise:
        default = StabiliserOptions()
        unused = [name for name in ("lookahead", "crop", "border") if getattr(options, name) != getattr(default, name)]
        if unused:
            raise ValueError(f"--{unused[0]} has no effect without --stabilise; add --stabilise, or drop --{unused[0]}")
        return None
    if ENHANCED not in LAYOUTS[options.layout].needs:
        raise ValueError(f"--stabilise steadies the enhanced picture, which --layout {options.layout} does not show")
    return StabiliserOptions(lookahead=options.lookahead, crop=options.crop, border=options.border)


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
        f"({summary.speed_fps:.1f} FPS), {_events(summary)}{summary.heals} healed{stopped}"
    )


def _events(summary: RunSummary) -> str:
    """The special events that happened, with their counts."""
    counts = {
        "new scenes": summary.resets,
        "without tracking": summary.lost,
        "raw": summary.raw,
        "dropped": summary.dropped,
        "reconnects": summary.reconnects,
    }
    return "".join(f"{count} {name}, " for name, count in counts.items() if count)


if __name__ == "__main__":
    sys.exit(main())
