"""``mostnet-run``: a video file or camera through an engine, from the command line."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from mostnet.contract import ENHANCED, MostnetError
from mostnet.engine import Engine
from mostnet.video.steady.border import BORDERS
from mostnet.video.steady.stabiliser import StabiliserOptions

from .layouts import LAYOUTS
from .progress import RunProgress
from .reader import demo_clip
from .run import IncompleteVideoError, RunSummary, outputs_needed, run
from .view import Window

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for an error, 128 + the signal where one stopped it."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        _steadying(options)
    except ValueError as error:
        parser.error(str(error))
    if options.output is None and not options.view:
        parser.error("give --output, --view or both")
    try:
        outputs = outputs_needed(options.layout, stabilise=options.stabilise)
        with Engine(options.engine, outputs=outputs) as engine:
            return _run(options, engine)
    except (MostnetError, OSError) as error:
        return _fail(error)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(options: argparse.Namespace, engine: Engine) -> int:
    failure: IncompleteVideoError | None = None
    with _stop_signal() as stop:
        try:
            with RunProgress(Console(stderr=True)) as progress:
                summary = run(
                    _source(options.video),
                    engine,
                    options.output,
                    layout=options.layout,
                    frames=options.frames,
                    flow_max_px=options.flow_max,
                    stabilise=_steadying(options),
                    status=options.status,
                    window=Window() if options.view else None,
                    progress=progress,
                    stop=stop.__bool__,
                )
        except IncompleteVideoError as error:
            summary, failure = error.summary, error
    _report(summary)
    status = 0 if failure is None else _fail(failure)
    return 128 + stop.number if summary.stopped else status


class _Stop:
    """Number of the signal that asked to stop, 0 for none."""

    number = 0

    def __bool__(self) -> bool:
        return self.number != 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.number:  # a second Ctrl-C: the frame under way does not come
            raise KeyboardInterrupt
        self.number = number


@contextmanager
def _stop_signal() -> Iterator[_Stop]:
    """Turn the first Ctrl-C or termination into a wish that is granted between two frames.

    A KeyboardInterrupt could strike between encoding a frame and writing it, and the file would lack that frame.
    """
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mostnet-run",
        description="Run a video through a MOST-NET+ engine and write the result as H.264 in MP4.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("video", help="video file, camera number, or 'demo' for the clip that comes with mostnet")
    parser.add_argument("--engine", type=Path, required=True, help="model.onnx or model.plan", metavar="FILE")
    parser.add_argument("--output", type=Path, help="MP4 file to write", metavar="OUT.mp4")
    parser.add_argument("--view", action="store_true", help="show the result in a window; q or Escape ends")
    parser.add_argument("--layout", choices=LAYOUTS, default="enhanced", help="what the output shows")
    parser.add_argument("--frames", type=_positive(int), help="stop after this many", metavar="N")
    parser.add_argument(
        "--flow-max",
        type=_positive(float),
        help="pixels of flow at full colour; follows the video if not given",
        metavar="PX",
    )
    steady = parser.add_argument_group("steady picture")
    steady.add_argument("--stabilise", action="store_true", help="steady the enhanced picture on the teeth")
    steady.add_argument(
        "--lookahead", type=int, default=0, help="frames the picture comes late; 5 is steadier", metavar="K"
    )
    steady.add_argument("--crop", type=float, default=0.1, help="share of each side given up for it", metavar="F")
    steady.add_argument("--border", choices=BORDERS, default="crop", help="zoom in, or fill what the frame lacks")
    steady.add_argument(
        "--status",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="tracking state and speed on the picture; by default where it is stabilised or live",
    )
    return parser


def _steadying(options: argparse.Namespace) -> StabiliserOptions | None:
    if not options.stabilise:
        usual = StabiliserOptions()
        stray = [name for name in ("lookahead", "crop", "border") if getattr(options, name) != getattr(usual, name)]
        if stray:
            raise ValueError(f"--{stray[0]} is for --stabilise; add that, or leave it out")
        return None
    if ENHANCED not in LAYOUTS[options.layout].needs:
        raise ValueError(f"--stabilise steadies the enhanced picture, which --layout {options.layout} does not show")
    return StabiliserOptions(lookahead=options.lookahead, crop=options.crop, border=options.border)


def _positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    def convert(text: str) -> int | float:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    convert.__name__ = kind.__name__  # argparse names the type in its message
    return convert


def _source(text: str) -> Path | int:
    """What VIDEO means: an existing file first, then a camera number or the demo clip."""
    if not Path(text).is_file():  # `make demo` leaves a folder of that name
        if text.isdecimal():
            return int(text)
        if text == "demo":
            return demo_clip()
    return Path(text)


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
    """What happened beside, as far as it did."""
    counts = {
        "new scenes": summary.resets,
        "without tracking": summary.lost,
        "raw": summary.raw,
        "dropped": summary.dropped,
        "reconnects": summary.reconnects,
    }
    return "".join(f"{count} {name}, " for name, count in counts.items() if count)


def _fail(error: MostnetError | OSError) -> int:
    print(f"mostnet-run: {' '.join(str(error).split())}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
