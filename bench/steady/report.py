"""``python -m mostnet.bench.steady.report [--photos DIR] [--paths FILE.csv] [--vident ROOT]``: measure the stabiliser.

Two parts: bounds and a comparison on clips of known path, and the jitter that each method leaves on moved pictures or
on published sequences.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
from rich.console import Console

from mostnet.bench.machine import describe_machine
from mostnet.bench.progress import PartProgress
from mostnet.contract import write_bytes
from mostnet.contract.arguments import positive_float, positive_int
from mostnet.contract.terminal import PLAIN, CommandParser, command
from mostnet.engine import Engine
from mostnet.training.data.dataset import SPLITS
from mostnet.video import demo_clip
from mostnet.video.steady.plot import plot_paths

from .clips import KnownClip, of_video, synthetic
from .known import added_jitter_checks, compare, engine_ms, known_path_checks, picture_checks
from .photographs import Score, scores
from .published import published_clips
from .recordings import drawn_still, drawn_ways, moved_clips, photos_of, ways_of
from .shaken import SIZE_HW, Shake
from .tables import known_json, print_known, print_scores, scores_json

#: The pan lasts up to the hundredth frame.
_LEAST_FRAMES = 110
#: Parts of the report.
_PARTS = ("known", "moved")


@command("mostnet.bench.steady.report")
def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; returns 1 if a bound is broken or something fails."""
    options = _parser().parse_args(argv)
    cv2.setNumThreads(1)
    console = Console(file=sys.stdout, width=120, **PLAIN)
    report: dict[str, object] = {"machine": asdict(describe_machine(gpu=False))}
    passed = True
    if "known" in options.parts:
        passed = _known(options, console, report)
    if "moved" in options.parts:
        found = _moved(options)
        print_scores(console, found)
        report["moved"] = scores_json(found)
    if options.json is not None:
        write_bytes(options.json, json.dumps(report, indent=1).encode())
    return 0 if passed else 1


def _known(options: argparse.Namespace, console: Console, report: dict[str, object]) -> bool:
    """Bounds and comparison on clips of known path; whether every bound holds."""
    checks, paths = known_path_checks(count=options.frames)
    clips = _clips(options)
    for path, clip in zip(options.video, clips[-len(options.video) :], strict=False):
        still = of_video(path, name="still", count=options.frames, shake=Shake(0.0, 0.0, 0.0))
        checks += added_jitter_checks(clip, still)
    rows = [row for clip in clips for row in compare(clip)]
    checks += picture_checks(rows)
    engine_cost_ms = None if options.engine is None else engine_ms(options.engine)
    print_known(console, checks, rows, engine_cost_ms)
    if options.plot is not None:
        plot_paths(paths, options.plot, title="known camera path, and the path after stabilising")
    report.update(known_json(checks, rows, engine_cost_ms))
    return all(check.passed for check in checks)


def _moved(options: argparse.Namespace) -> list[Score]:
    """Every method on pictures moved along camera paths, or on published sequences."""
    if options.vident is not None:
        with PartProgress(Console(file=sys.stderr, **PLAIN)) as progress:
            published = published_clips(options.vident, options.split, frames=options.frames)
            return list(scores(published, engine=options.engine, progress=progress.update))
    stills = [drawn_still()] if options.photos is None else photos_of(options.photos)
    ways = drawn_ways(frames=options.frames) if options.paths is None else ways_of(options.paths, frames=options.frames)
    size_hw = SIZE_HW
    if options.engine is not None:
        with Engine(options.engine) as engine:
            size_hw = engine.metadata.size_hw
    with PartProgress(Console(file=sys.stderr, **PLAIN)) as progress:
        clips = moved_clips(stills, ways, size_hw=size_hw)
        return list(scores(clips, engine=options.engine, progress=progress.update))


def _frame_count(text: str) -> int:
    """Number of frames of a clip, from a command line."""
    count = positive_int(text)
    if count < _LEAST_FRAMES:
        raise argparse.ArgumentTypeError(f"{text} frames are too few; expected at least {_LEAST_FRAMES}")
    return count


def _clips(options: argparse.Namespace) -> list[KnownClip]:
    clips = [
        synthetic("sway", count=options.frames),
        synthetic("pan 3 px", count=options.frames, pan_px=3.0),
        of_video(demo_clip(), name="demo", count=options.frames, shake=None),
    ]
    clips += [
        of_video(path, name=path.stem, count=options.frames, shake=Shake(options.shake_px)) for path in options.video
    ]
    return clips


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.bench.steady.report",
        description="Measure the stabiliser on clips of known camera path, side by side with other methods.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--photos", type=Path, help="photographs to move: DIR/image and DIR/mask", metavar="DIR")
    parser.add_argument("--paths", type=Path, help="recorded camera paths to move them along", metavar="FILE.csv")
    parser.add_argument("--vident", type=Path, help="published sequences instead of moved pictures", metavar="ROOT")
    parser.add_argument("--split", choices=SPLITS, default="test", help="split of --vident")
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS), help="parts of the report")
    parser.add_argument("--video", type=Path, nargs="*", default=[], help="video files to shake", metavar="FILE")
    parser.add_argument(
        "--shake-px",
        type=positive_float,
        default=6.0,
        metavar="PX",
        help="jitter added to video files: RMS of each axis, in pixels at a width of 640",
    )
    parser.add_argument("--frames", type=_frame_count, default=160, help="frames of each clip", metavar="N")
    parser.add_argument(
        "--engine",
        type=Path,
        help="give moved pictures the flow and mask of this engine instead of OpenCV's flow and the true mask; time it",
        metavar="FILE",
    )
    parser.add_argument("--plot", type=Path, help="plot of the known path and the steady ones", metavar="FILE.png")
    parser.add_argument("--json", type=Path, help="all figures, as JSON", metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
