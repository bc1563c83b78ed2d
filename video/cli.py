"""``mostnet-run``: a video file or camera through an engine, from the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mostnet.contract import VideoError
from mostnet.contract.terminal import command, complain
from mostnet.video.command.arguments import NAME, parse, video_source
from mostnet.video.command.batch import VideoBatch, videos_of
from mostnet.video.command.engines import EngineSupply
from mostnet.video.command.single import process, tell

from .run import outputs_needed
from .threads import limit_opencv_threads


@command(NAME)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 for an error, or 128 + the number of the signal that stopped it."""
    options, stabilise = parse(argv)
    limit_opencv_threads()
    source = video_source(options.video)
    videos = videos_of(source, options.output)
    if not videos:
        _check_single(options, source)
    outputs = outputs_needed(options.layout, stabilise=stabilise is not None)
    with EngineSupply(options.engine, outputs, size_hw=options.size, say=partial(complain, NAME)) as engines:
        if videos:
            return VideoBatch(engines, options, stabilise).run(videos)
        engine = engines.engine_for(source, fps=options.fps)
        _say_replaced(options, source)
        outcome = process(source, engine, options.output, options, stabilise)
    tell(outcome, still=options.still)
    return outcome.status


def _check_single(options: argparse.Namespace, source: str | Path | int) -> None:
    """Check the options of a single video.

    Raises:
        VideoError: its output is the name of a folder, or an option is for a folder of videos.
    """
    if options.overwrite:
        raise VideoError("--overwrite is for a folder of videos; the file of a single video is replaced without it")
    output: Path | None = options.output
    if output is None or not (output.is_dir() or (not output.suffix and "%" not in output.name)):
        return
    if options.still is not None:
        raise VideoError(f"{output}: is no name of a picture; give '{output / 'still.png'}'")
    name = source.stem if isinstance(source, Path) and source.suffix and "%" not in source.name else "out"
    raise VideoError(
        f"{output}: is no name of a video; give '{output / name}.mp4' for a video, or '{output}/%05d.png' for pictures"
    )


def _say_replaced(options: argparse.Namespace, source: str | Path | int) -> None:
    """Say that the output replaces an earlier file, unless the run refuses its name."""
    output: Path | None = options.output
    if output is None or not output.is_file() or output.suffix.lower() != (".mp4" if options.still is None else ".png"):
        return
    if not (isinstance(source, Path) and source.exists() and output.samefile(source)):
        complain(NAME, f"replaces the earlier {output} once a frame is written")


if __name__ == "__main__":
    sys.exit(main())
