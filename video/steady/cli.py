"""Measure how steady videos are: ``python -m mostnet.video.steady.cli VIDEO... [--reference BEFORE]``."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mostnet.contract import VideoError
from mostnet.contract.terminal import PLAIN, command
from mostnet.video.reader import VideoReader

from .metrics import Fidelity, Stability, compare, measure
from .plot import plot_paths


def measure_video(path: Path, *, frames: int | None = None) -> Stability:
    """Measure the first ``frames`` frames of a video file, by default all.

    Raises:
        VideoError: it cannot be read, or has fewer than two frames.
    """
    with VideoReader(path) as reader, _naming(path):
        return measure(itertools.islice(reader, frames))


def compare_videos(before: Path, after: Path, *, frames: int | None = None) -> Fidelity:
    """Cropping and distortion of ``after`` compared with ``before``, frame by frame.

    Raises:
        VideoError: a file cannot be read, the two videos differ in size, or no pair of frames could be matched.
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
    fidelity = {}
    if options.reference is not None:
        fidelity = {
            name: compare_videos(options.reference, path, frames=options.frames) for name, path in videos.items()
        }
    Console(file=sys.stdout, **PLAIN).print(_table(found, fidelity))
    if options.plot is not None:
        plot_paths({name: one.path for name, one in found.items()}, options.plot)
    return 0


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """The videos by file name, or by path if several files have the same name."""
    names = [path.name for path in paths]
    return {path.name if names.count(path.name) == 1 else str(path): path for path in paths}


def _table(found: Mapping[str, Stability], fidelity: Mapping[str, Fidelity]) -> Table:
    table = Table(caption="vibration: RMS of the path minus its 27-frame Hann average; jitter: above 0.15 cycles/frame")
    table.add_column("video")
    names = ("frames", "vibration px", "vibration deg", "jitter px", "stability", "ITF dB", "untracked")
    for column in (*names, *(("cropping", "distortion") if fidelity else ())):
        table.add_column(column, justify="right")
    for name, one in found.items():
        row = [name, f"{one.frames}", f"{one.vibration_px:.3f}", f"{one.vibration_deg:.3f}"]
        row += [f"{one.jitter_px:.3f}", f"{one.stability:.3f}", f"{one.itf_db:.2f}", f"{one.untracked}"]
        if name in fidelity:
            row += [f"{fidelity[name].cropping:.3f}", f"{fidelity[name].distortion:.3f}"]
        table.add_row(*row)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mostnet.video.steady.cli",
        description="Measure how steady videos are, from their pictures alone.",
    )
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO")
    parser.add_argument(
        "--reference", type=Path, help="the video before stabilising; adds cropping and distortion", metavar="FILE"
    )
    parser.add_argument("--plot", type=Path, help="draw the motion paths", metavar="FILE.png")
    parser.add_argument("--frames", type=int, help="measure the first N frames (default: all)", metavar="N")
    return parser


if __name__ == "__main__":
    sys.exit(main())
