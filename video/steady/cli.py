"""How steady videos are: ``python -m mostnet.video.steady.cli VIDEO... [--reference BEFORE] [--plot FILE.png]``."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mostnet.contract import MostnetError
from mostnet.video.reader import VideoReader

from .metrics import Fidelity, Stability, compare, measure
from .plot import plot_paths


def measure_video(path: Path, *, frames: int | None = None) -> Stability:
    """Measure the first ``frames`` frames of a video file, all by default.

    Raises:
        VideoError: it cannot be read, or has fewer than two frames.
    """
    with VideoReader(path) as reader:
        return measure(itertools.islice(reader, frames))


def compare_videos(before: Path, after: Path, *, frames: int | None = None) -> Fidelity:
    """Cropping and distortion of ``after`` against ``before``; frames are taken in pairs.

    Raises:
        VideoError: a file cannot be read.
        ValueError: nothing in them matches.
    """
    with VideoReader(before) as one, VideoReader(after) as other:
        return compare(itertools.islice(one, frames), itertools.islice(other, frames))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, draw the plot; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        videos = _named(options.videos)
        found = {name: measure_video(path, frames=options.frames) for name, path in videos.items()}
        fidelity = {}
        if options.reference is not None:
            fidelity = {
                name: compare_videos(options.reference, path, frames=options.frames) for name, path in videos.items()
            }
        Console().print(_table(found, fidelity))
        if options.plot is not None:
            plot_paths({name: one.path for name, one in found.items()}, options.plot)
    except (MostnetError, OSError, ValueError) as error:
        print(f"stability: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """The videos by their file names, or by their paths where files of one name lie in several folders."""
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
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO")
    parser.add_argument(
        "--reference", type=Path, help="the video before stabilising: cropping and distortion", metavar="FILE"
    )
    parser.add_argument("--plot", type=Path, help="PNG with the paths", metavar="FILE.png")
    parser.add_argument("--frames", type=int, help="measure this many at most", metavar="N")
    return parser


if __name__ == "__main__":
    sys.exit(main())
