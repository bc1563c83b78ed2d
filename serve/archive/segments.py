"""Split a long video into spans that run as separate tasks."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from mostnet.contract import FLOW, VideoError
from mostnet.contract.terminal import counted
from mostnet.engine import Session
from mostnet.video.layouts import LAYOUTS
from mostnet.video.run import Progress, RunSummary, run
from mostnet.video.spans.packets import frame_times

from .records import RunOptions, Span

#: Frames that run before a span. With nano, the enhanced picture then differs from the whole run's by one grey level at
#: most, but for 7 values in a million (docs/archive.md). It also fills the memory of the scene guard, 12 frames.
WARM_UP = 64
#: A video shorter than this many segments stays whole.
_LEAST_SEGMENTS = 1.5


def spans_of(
    video: Path, options: RunOptions, *, segment_s: float, between: Callable[[], object] | None = None
) -> tuple[Span, ...]:
    """Spans of a video that run by themselves and give what a run of the whole video gives; empty if it stays whole.

    It stays whole if it is shorter than 1.5 segments, if ``options`` make a frame depend on all frames before it, and
    if its packets do not tell the times of its frames surely. Only the first frame is decoded. The result depends on
    the video and the arguments alone.

    Args:
        video: a file; anything else stays whole.
        options: of the run.
        segment_s: wanted length of a span in seconds, about.
        between: called after each frame; it ends the work if it raises.

    Raises:
        ValueError: ``segment_s`` is not above zero.
        OSError: the file cannot be read.
    """
    if not segment_s > 0:
        raise ValueError(f"segment_s is {segment_s}; expected a length above 0 s")
    if _follows_the_video(options):
        return ()
    try:
        times = frame_times(video, fps=options.fps, between=between)
    except VideoError:  # the run of the whole video says what is wrong
        return ()
    if times is None or (options.frames is not None and options.frames < len(times)):
        return ()
    length_s = times[-1] + _period(times)
    return () if length_s < _LEAST_SEGMENTS * segment_s else _cut(times, max(2, round(length_s / Fraction(segment_s))))


def run_span(
    video: Path,
    engine: Session,
    output: Path,
    options: RunOptions,
    span: Span,
    *,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> RunSummary:
    """Run a span of ``spans_of`` into the file ``output``, without sound; the arguments are those of ``run``.

    Raises:
        VideoError: the span has another number of frames than its packets say; and as ``run``.
        MostnetError: the engine failed.
    """
    summary = run(
        video,
        engine,
        output,
        layout=options.layout,
        fps=options.fps,
        flow_max_px=options.flow_max_px,
        status=options.status,
        span=span,
        progress=progress,
        stop=stop,
    )
    if summary.frames != span.frames and not summary.stopped:
        raise VideoError(
            f"{video}: {counted(summary.frames, 'frame')} from {float(span.begin_s):.2f} s on, expected {span.frames}; "
            "run the whole video"
        )
    return summary


def _follows_the_video(options: RunOptions) -> bool:
    """Whether a frame of the result depends on all frames before it, and not only on the recurrent state."""
    draws_flow = options.layout in LAYOUTS and FLOW in LAYOUTS[options.layout].needs
    return options.stabilise is not None or (draws_flow and options.flow_max_px is None)


def _period(times: tuple[Fraction, ...]) -> Fraction:
    """Mean distance of two frames."""
    return times[-1] / max(len(times) - 1, 1)


def _cut(times: tuple[Fraction, ...], count: int) -> tuple[Span, ...]:
    """``count`` spans whose numbers of frames differ by at most one; fewer if there are fewer frames."""
    count = min(count, len(times))
    bounds = [len(times) * k // count for k in range(count + 1)]
    return tuple(
        Span(
            begin_s=times[begin],
            end_s=times[end] if end < len(times) else None,
            frames=end - begin,
            warm_up=min(WARM_UP, begin),
        )
        for begin, end in pairwise(bounds)
    )
