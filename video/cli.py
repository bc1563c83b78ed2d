"""``mostnet-run``: a video file or camera through an engine, from the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

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
    outputs = outputs_needed(options.layout, stabilise=stabilise is not None)
    with EngineSupply(options.engine, outputs, size_hw=options.size, say=partial(complain, NAME)) as engines:
        if videos:
            return VideoBatch(engines, options, stabilise).run(videos)
        engine = engines.engine_for(source, fps=options.fps)
        outcome = process(source, engine, options.output, options, stabilise)
    tell(outcome, still=options.still)
    return outcome.status


if __name__ == "__main__":
    sys.exit(main())
