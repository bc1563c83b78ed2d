"""``python -m mostnet.bench.steady.teeth_seen --engine FILE``: how often teeth are seen, in mouths and elsewhere.

Drawn animation and the given videos show no teeth; photographs moved along camera paths do. The table says for which
share of the frames the status was "tracking, on teeth", and for which share the size of the mask alone would have said
so.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from mostnet.contract import Frame
from mostnet.contract.arguments import positive_int
from mostnet.contract.terminal import PLAIN, CommandParser, command
from mostnet.engine import Session
from mostnet.engine.engine import Engine
from mostnet.video import VideoReader
from mostnet.video.fit import FrameFit
from mostnet.video.steady.options import StabiliserOptions
from mostnet.video.steady.stabiliser import Stabiliser
from mostnet.video.steady.tracking import GOOD_INLIERS, Tracking

from .recordings import Still, drawn_ways, moved, photos_of, ways_of

_SCENES = 14
_INK = (20, 20, 20)
_SKIN = ((120, 170, 240), (140, 120, 230), (200, 200, 205), (90, 200, 120))


class Seen(NamedTuple):
    """Shares of the frames of a clip, 0 to 1: of those on teeth by the status, and by the size of the mask alone."""

    kind: str
    by_status: float
    by_size: float


def cartoon(seed: int, *, size_hw: tuple[int, int] = (700, 940)) -> Still:
    """A drawn scene of flat colours with outlines, and two faces; none of it is tooth."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    colours = rng.integers(20, 256, (8, 3)).tolist()
    scene = np.full((height, width, 3), colours[0], np.uint8)
    scene[int(height * rng.uniform(0.4, 0.7)) :] = colours[1]
    for _ in range(14):
        place, size = rng.integers((width, height)).tolist(), int(rng.integers(25, 110))
        axes, angle = (size, int(size * rng.uniform(0.3, 1))), float(rng.uniform(0, 180))
        _blob(scene, place, axes, colours[int(rng.integers(8))], angle=angle)
    for _ in range(2):
        x, y = (rng.uniform(0.25, 0.75, 2) * (width, height)).astype(int).tolist()
        size = int(rng.integers(90, 180))
        _blob(scene, (x, y), (size, size), _SKIN[int(rng.integers(len(_SKIN)))])
        for side in (-1, 1):
            eye = x + side * size // 3, y - size // 5
            _blob(scene, eye, (size // 5, size // 4), (250, 250, 250))
            _blob(scene, eye, (size // 12, size // 12), _INK)
        _blob(scene, (x, y + size // 3), (size // 2, size // 4), (40, 40, 160), until=180)
    return Still(f"cartoon {seed}", np.dstack([scene, np.zeros(size_hw, np.uint8)]))


def _blob(
    scene: Frame,
    place: Sequence[int],
    axes: tuple[int, int],
    colour: Sequence[int],
    *,
    angle: float = 0.0,
    until: int = 360,
) -> None:
    for shade, thickness in ((colour, cv2.FILLED), (_INK, 4)):
        cv2.ellipse(scene, tuple(place), axes, angle, 0, until, tuple(shade), thickness, cv2.LINE_AA)


def seen(kind: str, frames: Sequence[Frame], engine: Session) -> Seen:
    """Run the stabiliser live on the engine's results of one clip."""
    fit = FrameFit((frames[0].shape[0], frames[0].shape[1]), engine.metadata.size_hw)
    steady = Stabiliser(StabiliserOptions(lookahead=0))
    engine.reset()
    on_teeth, by_size = [], []
    for frame, output in zip(frames, engine.stream((fit.to_engine(frame), None) for frame in frames), strict=True):
        correction = steady.update(fit.back(output), frame)
        assert correction is not None
        state = correction.state
        on_teeth.append(state.tracking is Tracking.TRACKING)
        known = state.tracking is not Tracking.LOST and state.inliers >= GOOD_INLIERS
        by_size.append(known and state.source == "teeth")
    return Seen(kind, float(np.mean(on_teeth)), float(np.mean(by_size)))


def clips(options: argparse.Namespace, size_hw: tuple[int, int]) -> Iterator[tuple[str, list[Frame]]]:
    """Kind and frames of each clip."""
    drawn = options.paths is None
    ways = drawn_ways(frames=options.frames) if drawn else ways_of(options.paths, frames=options.frames)
    stills = [("drawn animation", cartoon(seed)) for seed in range(_SCENES)]
    if options.photos is not None:
        stills += [("photographs of mouths", still) for still in photos_of(options.photos)]
    for seed, ((kind, still), way) in enumerate(zip(stills, itertools.cycle(ways), strict=False)):
        yield kind, moved(still, way, size_hw=size_hw, seed=seed).frames
    for path in options.video:
        with VideoReader(path) as reader:
            yield path.name, list(itertools.islice(reader, options.frames))


@command("mostnet.bench.steady.teeth_seen")
def main(argv: Sequence[str] | None = None) -> int:
    """Print one row for each kind of clip."""
    options = _parser().parse_args(argv)
    cv2.setNumThreads(1)
    rows: dict[str, list[Seen]] = {}
    with Engine(options.engine) as engine:
        for kind, frames in clips(options, engine.metadata.size_hw):
            rows.setdefault(kind, []).append(seen(kind, frames, engine))
    table = Table("clips", "number", "on teeth", "by the mask's size alone")
    for kind, found in rows.items():
        shares = (np.mean([one.by_status for one in found]), np.mean([one.by_size for one in found]))
        table.add_row(kind, str(len(found)), *(f"{share:.2f}" for share in shares))
    Console(file=sys.stdout, width=120, **PLAIN).print(table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.bench.steady.teeth_seen",
        description="How often the status says that teeth are seen, on clips with and without teeth.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--engine", type=Path, required=True, help="the exported model", metavar="FILE")
    parser.add_argument("--photos", type=Path, help="photographs of mouths: DIR/image and DIR/mask", metavar="DIR")
    parser.add_argument("--paths", type=Path, help="recorded camera paths (default: drawn ones)", metavar="FILE.csv")
    parser.add_argument("--video", type=Path, nargs="*", default=[], help="videos without teeth", metavar="FILE")
    parser.add_argument("--frames", type=positive_int, default=60, help="most frames of a clip", metavar="N")
    return parser


if __name__ == "__main__":
    sys.exit(main())
