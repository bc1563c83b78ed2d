"""``python -m mostnet.bench.steady.filters [--paths FILE.csv]``: compare steady paths on known camera paths.

No picture is needed: the motion of each frame is known. Every path has the same crop.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import thread_time

import numpy as np
from rich.console import Console
from rich.table import Table

from mostnet.contract.terminal import PLAIN, CommandParser, command
from mostnet.video import StabiliserOptions
from mostnet.video.steady.border import SOFT_KNEE, limited
from mostnet.video.steady.metrics import Path2d, vibration
from mostnet.video.steady.paths.steady_path import steady_path
from mostnet.video.steady.plot import plot_paths
from mostnet.video.steady.similarity import Similarity

from .averages import Around, averaged, gaussian, kalman, least_absolute, least_energy
from .checks import path_array
from .recordings import LEAST_FRAMES, Way, drawn_ways, ways_of
from .shaken import intended

SIZE_HW = (480, 640)
#: The pan by which lag and overshoot are measured: pixels per frame, over 40 frames from the 100th on.
_PAN_PX, _PAN_AT, _PAN_FRAMES = 2.0, 100, 40


@dataclass(frozen=True)
class Filter:
    """A steady path to compare.

    Attributes:
        name: name in the table.
        lookahead: future frames that it reads.
        views: gives each frame of a path its view, for a crop.
    """

    name: str
    lookahead: int
    views: Callable[[Sequence[Similarity], float], list[Similarity]]


@dataclass(frozen=True)
class FilterScore:
    """Figures of one filter: jitter after / before by path, the pan's lag and overshoot, and the cost of a frame."""

    filter: Filter
    ratios: list[float]
    lag_frames: float
    overshoot_px: float
    cost_ms: float


def filters(lookahead: int) -> list[Filter]:
    """All filters with a look-ahead; the Kalman filter has none."""

    def simple(name: str, views: Callable[[Around, float], list[Similarity]]) -> Filter:
        return Filter(name, lookahead, lambda poses, crop: views(Around(poses), crop))

    def mean(weights: np.ndarray) -> Callable[[Around, float], list[Similarity]]:
        return lambda around, crop: averaged(around, weights, ahead=lookahead, size_hw=SIZE_HW, crop=crop)

    lag = max(0.0, 10.0 - lookahead)
    found = [
        Filter("vibration", lookahead, lambda poses, crop: _ours("vibration", lookahead, poses, crop)),
        simple("least-energy FIR above 0.02", mean(least_energy(0.02, lag, lookahead))),
        simple("Gaussian average, 12 frames", mean(gaussian(12.0, lookahead))),
        simple(
            "L1-optimal on a window",
            lambda around, crop: least_absolute(around, ahead=lookahead, size_hw=SIZE_HW, crop=crop),
        ),
        Filter("hand", lookahead, lambda poses, crop: _ours("hand", lookahead, poses, crop)),
        Filter("hold", lookahead, lambda poses, crop: _ours("hold", lookahead, poses, crop)),
    ]
    if not lookahead:
        dead = simple(
            "Kalman with dead band of 4 px",
            lambda around, crop: kalman(around, gain=0.1, dead_px=4.0, size_hw=SIZE_HW, crop=crop),
        )
        found.insert(3, dead)
    return found


def _ours(steady: str, lookahead: int, poses: Sequence[Similarity], crop: float) -> list[Similarity]:
    path = steady_path(StabiliserOptions(steady, lookahead=lookahead, crop=crop))
    views = []
    for motion in _motions(poses):
        path.push(motion)
        if path.waiting > lookahead:
            views.append(path.commit(SIZE_HW, crop))
    views += [path.commit(SIZE_HW, crop) for _ in range(path.waiting)]
    knee = SOFT_KNEE if steady == "vibration" else 1.0
    return [limited(view, SIZE_HW, crop, knee=knee) for view in views]


def measure_filter(one: Filter, ways: Sequence[Way], *, crop: float) -> FilterScore:
    """Run a filter on every path, and on a pan."""
    ratios, cost_s, frames = [], 0.0, 0
    for way in ways:
        poses = _pixels(way)
        begun_s = thread_time()
        views = one.views(poses, crop)
        cost_s += thread_time() - begun_s
        frames += len(views)
        ratios.append(vibration(_path(poses, views, crop)) / vibration(_path(poses, None, 0.0)))
    lag, overshoot = _pan(one, crop)
    return FilterScore(one, ratios, lag, overshoot, 1e3 * cost_s / frames)


def steady_paths(way: Way, *, crop: float) -> dict[str, Path2d]:
    """The camera's path, ``(N, 3)``, and the steady ones of hand and hold, for a plot."""
    poses = _pixels(way)
    found = {"camera": path_array(poses)}
    for name, lookahead in (("hand", 0), ("hand", 30), ("hold", 0), ("hold", 30)):
        shown = [view.then(pose) for view, pose in zip(_ours(name, lookahead, poses, crop), poses, strict=True)]
        found[f"{name}, look-ahead {lookahead}"] = path_array(shown)
    return found


def _pan(one: Filter, crop: float) -> tuple[float, float]:
    """Lag in frames in the middle of a pan, and overshoot in pixels after it."""
    poses = intended(280, sway_px=0.0, pan_px=_PAN_PX, pan_at=_PAN_AT)
    shown = np.array([view.then(pose).b.real for view, pose in zip(one.views(poses, crop), poses, strict=True)])
    camera = np.array([pose.b.real for pose in poses])
    middle = _PAN_AT + _PAN_FRAMES // 2
    return float(camera[middle] - shown[middle]) / _PAN_PX, float(max(shown.max() - camera[-1], 0))


def _pixels(way: Way) -> list[Similarity]:
    return [Similarity(pose.a, pose.b * SIZE_HW[0]) for pose in way.poses]


def _motions(poses: Sequence[Similarity]) -> list[Similarity]:
    return [Similarity()] + [poses[k].then(poses[k - 1].inverse()) for k in range(1, len(poses))]


def _path(poses: Sequence[Similarity], views: Sequence[Similarity] | None, crop: float) -> Path2d:
    """``(N, 2)``: the sum of the shifts of the shown picture's centre, in its pixels."""
    zoom = Similarity(complex(1 - crop))
    shown = [zoom.then(view).then(pose) for view, pose in zip(views or [Similarity()] * len(poses), poses, strict=True)]
    return np.cumsum([(step.b.real, step.b.imag) for step in _motions(shown)], axis=0)


@command("mostnet.bench.steady.filters")
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    options = _options(argv)
    ways = drawn_ways(frames=options.frames) if options.paths is None else ways_of(options.paths, frames=options.frames)
    table = Table(title=f"Jitter after / before with a crop of {options.crop:g}", title_justify="left")
    for column in ("filter", "look-ahead", *(way.name for way in ways), "median", "pan: lag", "overshoot px", "ms"):
        table.add_column(column, justify="left" if column == "filter" else "right")
    for lookahead in options.lookahead:
        for one in filters(lookahead):
            row = measure_filter(one, ways, crop=options.crop)
            figures = [f"{ratio:.2f}" for ratio in (*row.ratios, float(np.median(row.ratios)))]
            table.add_row(
                one.name,
                str(lookahead),
                *figures,
                f"{row.lag_frames:.1f}",
                f"{row.overshoot_px:.1f}",
                f"{row.cost_ms:.2f}",
            )
    Console(file=sys.stdout, width=140, **PLAIN).print(table)
    if options.plot is not None:
        title = f"camera path {ways[0].name}, and the steady paths within a crop of {options.crop:g}"
        plot_paths(steady_paths(ways[0], crop=options.crop), options.plot, title=title)
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        for lookahead in options.lookahead:
            StabiliserOptions(lookahead=lookahead, crop=options.crop)
    except ValueError as error:
        parser.error(str(error))
    if options.frames < LEAST_FRAMES:
        parser.error(f"{options.frames} frames are too few; expected at least {LEAST_FRAMES}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.bench.steady.filters",
        description="Compare steady paths on known camera paths, without pictures.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--paths", type=Path, help="recorded camera paths, instead of drawn ones", metavar="FILE.csv")
    parser.add_argument("--lookahead", type=int, nargs="+", default=[0, 30], help="future frames", metavar="K")
    parser.add_argument("--crop", type=float, default=0.2, help="share of height and width cropped off", metavar="F")
    parser.add_argument("--frames", type=int, default=300, help="most frames of a path", metavar="N")
    parser.add_argument("--plot", type=Path, help="plot of the first path and its steady ones", metavar="FILE.png")
    return parser


if __name__ == "__main__":
    sys.exit(main())
