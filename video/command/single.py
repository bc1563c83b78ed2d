"""One video of ``mostnet-run``: its progress, its end, and what is said of it."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mostnet.contract import VideoError
from mostnet.contract.stopping import StopRequest
from mostnet.contract.terminal import PLAIN, complain, counted
from mostnet.engine import Engine
from mostnet.video.progress import RunProgress
from mostnet.video.run import IncompleteVideoError, RunSummary, run
from mostnet.video.steady.options import StabiliserOptions
from mostnet.video.window import Window

from .arguments import NAME


@dataclass(frozen=True, kw_only=True)
class VideoOutcome:
    """How the run of one video ended.

    Attributes:
        summary: what was processed; None if nothing could be.
        failure: what failed, or None.
        stop: the signal that ended the run, or None.
    """

    summary: RunSummary | None = None
    failure: VideoError | None = None
    stop: signal.Signals | None = None

    @property
    def status(self) -> int:
        """Exit status: 0, 1 for an error, or 128 + the number of the signal that ended the run."""
        # To close the window is no error, and a signal may end the wait for the first frame.
        if self.stop and (self.summary is None or self.summary.stopped):
            return 128 + self.stop
        return int(self.failure is not None)


def process(
    video: str | Path | int,
    engine: Engine,
    output: Path | None,
    options: argparse.Namespace,
    stabilise: StabiliserOptions | None,
    *,
    label: str = "",
) -> VideoOutcome:
    """Run one video until its end or a signal, with progress on stderr; ``label`` names it there.

    Raises:
        MostnetError: the engine failed.
        OSError: the system failed.
    """
    summary: RunSummary | None = None
    failure: VideoError | None = None
    with StopRequest(second=signal.default_int_handler) as stop:
        try:
            with RunProgress(Console(file=sys.stderr, **PLAIN), label=label) as progress:
                summary = run(
                    video,
                    engine,
                    output,
                    layout=options.layout,
                    frames=options.frames,
                    fps=options.fps,
                    flow_max_px=options.flow_max,
                    stabilise=stabilise,
                    read_ahead=options.lookahead is None,
                    status=options.status,
                    window=Window() if options.view else None,
                    progress=progress,
                    still=options.still,
                    stop=stop.__bool__,
                )
        except IncompleteVideoError as error:
            summary, failure = error.summary, error
        except VideoError as error:
            failure = error
    return VideoOutcome(summary=summary, failure=failure, stop=stop.signal)


def tell(outcome: VideoOutcome, *, still: int | None = None) -> None:
    """Print a line about the result, and one about the failure."""
    if outcome.summary is not None:
        print(summary_line(outcome.summary, still=still), flush=True)
    if outcome.failure is not None:
        complain(NAME, outcome.failure)


def summary_line(summary: RunSummary, *, still: int | None = None) -> str:
    """What a run did, as one line; ``still`` is the number of the one frame that was wanted."""
    stopped = ["stopped early"] if summary.stopped else []
    if not summary.frames or (still is not None and summary.output is None):
        return ", ".join(["nothing written", *stopped])
    what = f"{counted(summary.frames, 'frame')} at {float(summary.fps):g} FPS"
    if still is not None:
        what = f"frame {still}, after {what}"
    events = [f"{count} {name}" for name, count in summary.events.items()]
    what = f"{summary.output or 'shown'}: {what} in {summary.elapsed_s:.1f} s ({summary.speed_fps:.1f} FPS)"
    return ", ".join([what, *_steadied(summary), *events, *stopped])


def _steadied(summary: RunSummary) -> list[str]:
    options = summary.stabilise
    return [] if options is None else [f"steadied ({options.steady}, look-ahead {options.lookahead})"]
