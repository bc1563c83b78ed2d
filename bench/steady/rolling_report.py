"""``python -m mostnet.bench.steady.rolling_report [--paths FILE.csv]``: measure the correction of a rolling shutter.

The scenes are drawn, with a known shutter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import thread_time

import cv2
import numpy as np

from mostnet.contract import Frame
from mostnet.contract.terminal import CommandParser, command
from mostnet.video.steady.options import MAX_LOOKAHEAD
from mostnet.video.steady.shutter.correction import ShutterCorrection
from mostnet.video.steady.shutter.estimator import Matches
from mostnet.video.steady.shutter.rows import RowSkew
from mostnet.video.steady.similarity import Points, Similarity, centre_of, fit_similarity, least_squares

from .recordings import Way, first_ways
from .rolling import CameraPath, places, render_rows, skew_of, through, vibrating
from .shaken import SIZE_HW, Shake, world

FRAMES, LOOKAHEAD = 110, 30
#: The first frames have no readout yet, and the last ones not all their neighbours.
_FIRST, _LAST = 45, 4
_NOISE = 4.0
_LEAST_FRAMES = 60


@dataclass(frozen=True)
class Wobble:
    """What is left of the skew, RMS in pixels over frame and time, beside the best similarity.

    Attributes:
        off: without correction.
        known, found: with the true readout, and with the one that was found.
        share: the readout that was found, after the last frame.
        cost_ms: median processor time to estimate it, per frame and without the tracks.
    """

    off: float
    known: float
    found: float
    share: float
    cost_ms: float


def drawn(
    path: CameraPath,
    count: int,
    *,
    share: float,
    foreground: bool = False,
    size_hw: tuple[int, int] = SIZE_HW,
) -> list[Frame]:
    """Noisy pictures of the drawn world; a speckled disc may move through the foreground."""
    rng = np.random.default_rng(2)
    scene = world(rng)
    frames = [render_rows(scene, path, k, share=share, size_hw=size_hw) for k in range(count)]
    if foreground:
        for k, frame in enumerate(frames):
            _draw_disc(frame, k)
    return [np.clip(frame + rng.normal(0, _NOISE, frame.shape), 0, 255).astype(np.uint8) for frame in frames]


def matched(before: Frame, now: Frame) -> Matches:
    """Corners of ``now``, and their places in ``before``, by Lucas-Kanade with a forward-backward check."""
    size = (now.shape[1] // 2, now.shape[0] // 2)
    last, grey = (cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), size) for frame in (before, now))
    corners = cv2.goodFeaturesToTrack(grey, 150, 0.01, 8)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(grey, last, corners, None)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(last, grey, moved, None)
    good = (found & returned).ravel().astype(bool) & (np.linalg.norm(back - corners, axis=2).ravel() < 0.5)
    centre = centre_of((size[1], size[0]))
    points, places_before = (2 * (at[good, 0, 0] + 1j * at[good, 0, 1] - centre) for at in (corners, moved))
    return points.astype(np.complex128), places_before.astype(np.complex128)


def wobble_of(path: CameraPath, frames: Sequence[Frame], *, share: float, lookahead: int = LOOKAHEAD) -> Wobble:
    """Measure the correction on pictures of ``path``, whose readout takes ``share`` of the frame period."""
    matches = [matched(before, now) for before, now in pairwise(frames)]
    height, width = frames[0].shape[:2]
    grid: Points = places((height, width))[height // 30 :: height // 15, width // 40 :: width // 20].ravel()
    true = [skew_of(path, float(k), grid, share=share, height=height) for k in range(len(matches))]
    known, _ = _skews(ShutterCorrection(share, lookahead=lookahead), matches, (height, width), lookahead)
    correction = ShutterCorrection(lookahead=lookahead)
    found, cost_ms = _skews(correction, matches, (height, width), lookahead)
    off, with_known, with_found = (_left(grid, true, skews) for skews in ([None] * len(matches), known, found))
    return Wobble(off, with_known, with_found, correction.share, cost_ms)


def _skews(
    correction: ShutterCorrection, matches: Sequence[Matches], size_hw: tuple[int, int], lookahead: int
) -> tuple[list[RowSkew | None], float]:
    """The skew of every frame but the last, and the median cost of ``push`` in milliseconds; frame 0 has no motion."""
    given: list[RowSkew | None] = []
    costs = []
    correction.push(None, size_hw=size_hw, points=np.zeros(0, np.complex128))
    for pair in matches:
        motion = fit_similarity(*pair, np.ones(len(pair[0])))
        begun_s = thread_time()  # processor time, because the machine may be busy
        correction.push(motion, size_hw=size_hw, points=pair[0], matches=pair)
        costs.append(thread_time() - begun_s)
        if len(costs) >= lookahead:
            given.append(correction.next())
    return given + [correction.next() for _ in range(len(matches) - len(given))], float(np.median(costs)) * 1e3


def _left(grid: Points, true: Sequence[Points], skews: Sequence[RowSkew | None]) -> float:
    """RMS of what is left of the true displacement, without the similarity nearest to it."""
    energy = []
    for displacement, skew in list(zip(true, skews, strict=True))[_FIRST:-_LAST]:
        wrong = displacement if skew is None else displacement - skew.displacement(grid)
        rate, shift = least_squares(grid, wrong, np.ones(len(grid)))
        energy.append(np.mean(np.abs(wrong - rate * grid - shift) ** 2))
    return float(np.sqrt(np.mean(energy)))


def _draw_disc(frame: Frame, k: int) -> None:
    height, width = frame.shape[:2]
    at, radius = complex(width * (0.5 + 0.4 * np.sin(k / 9)), 0.7 * height), height // 6
    cv2.circle(frame, (round(at.real), round(at.imag)), radius, (40, 60, 160), -1)
    for spot in range(12):
        place = at + radius * complex(0.75 * np.cos(2 * spot), 0.75 * np.sin(3 * spot))
        cv2.circle(frame, (round(place.real), round(place.imag)), radius // 10, (200, 180, 90), -1)


def _paths(ways: Sequence[Way]) -> Iterator[tuple[str, CameraPath, int]]:
    """Name, path and number of frames of each camera: vibrating ones, then recorded ones that are long enough."""
    for low, high, shift_px in ((4, 8, 1.0), (4, 8, 3.0), (4, 12, 3.0), (8, 12, 3.0)):
        shake = Shake(shift_px, 0.4 * shift_px / 3, 0.001 * shift_px)
        path = vibrating(np.random.default_rng(3), shake, lowest_hz=low, highest_hz=high)
        yield f"{low} to {high} Hz, {shift_px:g} px", path, FRAMES
    for way in ways:
        if len(way.poses) > _LEAST_FRAMES:
            poses = [Similarity(pose.a, SIZE_HW[0] * pose.b) for pose in way.poses]
            yield f"path {way.name}", through(poses), min(len(poses), FRAMES)


@command("mostnet.bench.steady.rolling_report")
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    options = _parser().parse_args(argv)
    ways = [] if options.paths is None else first_ways(options.paths)
    print("| camera | readout | off, px | known, px | found, px | found readout | ms |\n|---|---|---|---|---|---|---|")
    for name, path, count in _paths(ways):
        for share, foreground in ((0.0, False), (0.3, False), (0.6, False), (0.6, True), (0.9, False)):
            frames = drawn(path, count, share=share, foreground=foreground)
            found = wobble_of(path, frames, share=share, lookahead=options.lookahead)
            label = f"{share}{', moving disc' if foreground else ''}"
            figures = (
                f"{found.off:.3f} | {found.known:.3f} | {found.found:.3f} | {found.share:.2f} | {found.cost_ms:.2f}"
            )
            print(f"| {name} | {label} | {figures} |", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.bench.steady.rolling_report",
        description="Measure what the correction of a rolling shutter leaves, on drawn scenes with a known shutter.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--paths", type=Path, help="recorded camera paths to add", metavar="FILE.csv")
    parser.add_argument(
        "--lookahead",
        type=int,
        choices=range(MAX_LOOKAHEAD + 1),
        default=LOOKAHEAD,
        help="future frames",
        metavar="K",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
