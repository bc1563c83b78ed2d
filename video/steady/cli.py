"""Measure how steady videos are: ``python -m mostnet.video.steady.cli VIDEO... [--reference BEFORE]``."""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
from rich.console import Console
from rich.table import Table

from mostnet.contract import Frame, VideoError
from mostnet.contract.arguments import positive_int
from mostnet.contract.terminal import PLAIN, CommandParser, command
from mostnet.video.reader import VideoReader

from .metrics import Fidelity, Stability, compare, measure
from .picture_path import PictureStepper, PictureSteps, jitter_ratio
from .plot import plot_paths


class Measured(NamedTuple):
    """Figures of one video: from feature tracks, and from the whole pictures."""

    tracks: Stability
    pictures: PictureSteps


def measure_video(path: Path, *, frames: int | None = None) -> Measured:
    """Measure the first ``frames`` frames of a video file, by default all.

    Raises:
        VideoError: it cannot be read, or has fewer than two frames.
    """
    stepper = PictureStepper()

    def seen(given: Iterator[Frame]) -> Iterator[Frame]:
        for frame in given:
            stepper.push(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
            yield frame

    with VideoReader(path) as reader, _naming(path):
        tracks = measure(seen(itertools.islice(reader, frames)))
    return Measured(tracks, stepper.steps)


def compare_videos(before: Path, after: Path, *, frames: int | None = None) -> Fidelity:
    """Cropping and distortion of ``after`` compared with ``before``, frame by frame.

    Raises:
        VideoError: a file cannot be read, the videos differ in size or length, or no pair of frames could be matched.
    """
    with VideoReader(before) as one, VideoReader(after) as other, _naming(after):
        return compare(itertools.islice(one, frames), itertools.islice(other, frames))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the video in the errors of the measurement, which knows only its frames."""
    try:
        yield
    except ValueError as error:
        raise VideoError(f"{path}: {error}") from error


@command("steady")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(argv)
    videos = _named(options.videos)
    found = {name: measure_video(path, frames=options.frames) for name, path in videos.items()}
    against: dict[str, tuple[float, Fidelity]] = {}
    if options.reference is not None:
        before = measure_video(options.reference, frames=options.frames)
        for name, path in videos.items():
            with _naming(path):
                ratio = jitter_ratio(before.pictures, found[name].pictures)
            against[name] = ratio, compare_videos(options.reference, path, frames=options.frames)
    Console(file=sys.stdout, **PLAIN).print(_table(found, against))
    if options.plot is not None:
        plot_paths({name: one.tracks.path for name, one in found.items()}, options.plot)
    return 0


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """The videos by file name, or by path if several files have the same name."""
    names = [path.name for path in paths]
    return {path.name if names.count(path.name) == 1 else str(path): path for path in paths}


def _table(found: Mapping[str, Measured], against: Mapping[str, tuple[float, Fidelity]]) -> Table:
    """One column per video, one row per figure."""
    table = Table(caption="jitter, vibration: RMS of the path minus its 27-frame Hann average")
    table.add_column("")
    columns = []
    for name, one in found.items():
        table.add_column(name, justify="right")
        columns.append(_figures(one) | (_reference_figures(*against[name]) if name in against else {}))
    for row in columns[0]:
        table.add_row(row, *(column[row] for column in columns))
    return table


def _figures(one: Measured) -> dict[str, str]:
    tracks, pictures = one
    return {
        "frames": f"{tracks.frames}",
        "jitter of the whole picture, px": _number(pictures.jitter_px),
        "steps without response": f"{pictures.unknown}",
        "vibration by tracks, px": f"{tracks.vibration_px:.3f}",
        "vibration by tracks, deg": f"{tracks.vibration_deg:.3f}",
        "tracks above 0.15 cycles/frame, px": f"{tracks.jitter_px:.3f}",
        "steps without tracks": f"{tracks.untracked}",
        "stability": f"{tracks.stability:.3f}",
        "ITF, dB": f"{tracks.itf_db:.2f}",
    }


def _reference_figures(ratio: float, fidelity: Fidelity) -> dict[str, str]:
    return {
        "jitter after / before": _number(ratio),
        "cropping": f"{fidelity.cropping:.3f}",
        "distortion": f"{fidelity.distortion:.3f}",
        "frames without a match": f"{fidelity.unmatched}",
    }


def _number(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.3f}"


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m mostnet.video.steady.cli",
        description="Measure how steady videos are, from their pictures alone.",
    )
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO")
    parser.add_argument(
        "--reference",
        type=Path,
        help="the video before stabilising; adds the ratio of jitter, cropping and distortion",
        metavar="FILE",
    )
    parser.add_argument("--plot", type=Path, help="draw the motion paths", metavar="FILE.png")
    parser.add_argument("--frames", type=positive_int, help="measure the first N frames (default: all)", metavar="N")
    return parser


if __name__ == "__main__":
    sys.exit(main())
