"""The arguments of ``mostnet-archive``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mostnet.contract.arguments import count_from_zero, positive_int
from mostnet.contract.terminal import CommandParser
from mostnet.video.command.options import add_engine_options, add_run_options, check_options

from .records import RunOptions

NAME = "mostnet-archive"


@dataclass(frozen=True, kw_only=True)
class ArchiveArguments:
    """What a run of the command is asked for.

    Attributes:
        source: folder, list or table of videos.
        out: folder for the results, absolute.
        engine: engine file, or checkpoint.
        size_hw: frame size of an engine made from a checkpoint, in pixels; None chooses it by the video.
        options: of the run of each video.
        ray: address of a cluster; None runs on this machine.
        workers, threads, gpus_per_worker: as in ``WorkerOptions``.
        segment_s: length of the spans of a long video, in seconds; 0 splits none.
        overwrite: replace files that are other results, or none.
    """

    source: Path
    out: Path
    engine: str
    size_hw: tuple[int, int] | None
    options: RunOptions
    ray: str | None
    workers: int | None
    threads: int
    gpus_per_worker: float
    segment_s: float
    overwrite: bool


def parse(argv: Sequence[str] | None) -> ArchiveArguments:
    """The arguments; ends the process with status 2 if they are wrong."""
    parser = _parser()
    options = parser.parse_args(argv)
    stabilise = check_options(parser, options)
    return ArchiveArguments(
        source=options.source,
        out=options.out.absolute(),
        engine=options.engine,
        size_hw=options.size,
        options=RunOptions(
            layout=options.layout,
            frames=options.frames,
            fps=options.fps,
            flow_max_px=options.flow_max,
            stabilise=stabilise,
            read_ahead=stabilise is not None and options.lookahead is None,
            status=options.status,
        ),
        ray=options.ray,
        workers=options.workers,
        threads=options.threads,
        gpus_per_worker=options.gpus_per_worker,
        segment_s=options.segment * 60,
        overwrite=options.overwrite,
    )


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=NAME,
        description="Run all videos of an archive through a MOST-NET+ engine, on this machine or on a Ray cluster. The "
        "same command goes on where an earlier one stopped.",
    )
    parser.add_argument(
        "source",
        type=Path,
        help="folder of videos, with the folders below it; list of videos (.txt), one a line; or table (.csv) with a "
        "column `video`, and perhaps a column `result`. Paths are relative to the folder of the list or table",
        metavar="SOURCE",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the results and their report", metavar="DEST"
    )
    add_engine_options(parser)
    workers = parser.add_argument_group("workers")
    workers.add_argument(
        "--ray",
        help="run on the Ray cluster that this machine belongs to: host:port, or auto. All its machines must see the "
        "videos and DEST by the same paths (default: run on this machine alone)",
        metavar="ADDRESS",
    )
    workers.add_argument(
        "--workers",
        type=count_from_zero,
        help="CPU workers (default: as many as there are cores for; none for a .plan file)",
        metavar="N",
    )
    workers.add_argument(
        "--threads", type=positive_int, default=1, help="CPU threads of a worker (default: %(default)s)", metavar="T"
    )
    workers.add_argument(
        "--gpus-per-worker",
        type=_share,
        default=0.0,
        help="share of a GPU that a GPU worker takes, such as 0.25 for four workers on each; 0 for no GPU workers "
        "(default: %(default)g)",
        metavar="F",
    )
    parser.add_argument(
        "--segment",
        type=_minutes,
        default=10.0,
        help="split a long video into spans of about so many minutes, which run side by side; 0 never splits "
        "(default: %(default)g)",
        metavar="MINUTES",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a result of other options or of another video, and any other file of its name",
    )
    add_run_options(parser)
    return parser


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share of a GPU, from 0 to 1")
    return value


def _minutes(text: str) -> float:
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes from 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0
