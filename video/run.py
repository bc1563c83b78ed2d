"""A whole video through an engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import perf_counter

from mostnet.contract import VideoError
from mostnet.engine import Session

from .flow_colour import FlowScale
from .layouts import LAYOUTS, Layout
from .reader import VideoReader
from .stages import Sink, Source

#: Called after each frame with the frames done and the frames expected, None where the source does not say.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What a run did.

    Attributes:
        output: the file written.
        frames: frames processed and written.
        heals: frames whose state or picture came out NaN or infinite and was healed.
        fps: frame rate of the video.
        elapsed_s: wall time of the run.
        stopped: the caller asked to stop before the end.
    """

    output: Path
    frames: int
    heals: int
    fps: Fraction
    elapsed_s: float
    stopped: bool

    @property
    def speed_fps(self) -> float:
        """Frames processed per second of wall time, reading and writing included."""
        return self.frames / self.elapsed_s if self.elapsed_s else 0.0


class IncompleteVideoError(VideoError):
    """The source is damaged or broke off; all that could be read was processed and written, as ``summary`` tells."""

    def __init__(self, message: str, summary: RunSummary) -> None:
        super().__init__(message)
        self.summary = summary


def run(
    video: str | Path | int,
    engine: Session,
    output: str | Path,
    *,
    layout: str = "enhanced",
    frames: int | None = None,
    flow_max_px: float | None = None,
    crf: int = 18,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> RunSummary:
    """Send ``video`` through ``engine`` and write the picture of ``layout`` for each frame to ``output``.

    Frames are resized to the engine's size and its results back to the video's. Each frame keeps its time, so that
    frames which could not be read leave a pause and the rest stays in step.

    Args:
        video: file, or camera number.
        engine: an open engine or session with the outputs that the layout needs; it is reset first.
        output: MP4 file to write; replaced once at least one frame is written.
        layout: a name out of ``LAYOUTS``.
        frames: stop after this many; None for all.
        flow_max_px: length of flow shown at full colour; None follows the video.
        crf: quality of the written video, as ``VideoWriter`` takes it.
        progress: called after each frame.
        stop: asked before each frame is written; true ends the run early with what there is.

    Raises:
        ValueError: unknown layout, or a number out of range.
        VideoError: the video cannot be opened or the output not written.
        IncompleteVideoError: the video is damaged or cut short, as far as it was read; ``output`` has the rest.
    """
    drawing = _layout(layout)
    scale = FlowScale(flow_max_px)
    if frames is not None and frames < 1:
        raise ValueError(f"frames is {frames}; expected at least 1, or None for all")
    output = Path(output)
    if not isinstance(video, int) and output.exists() and Path(video).exists() and output.samefile(video):
        raise VideoError(f"{output}: is the video itself; give another name for the output")
    with VideoReader(video) as reader:
        source = Source(reader, engine.metadata.size_hw, frames)
        sink = Sink(output, reader, drawing, scale, crf)
        begun_s = perf_counter()
        with closing(sink):
            stopped = _pump(source, engine, sink, progress, stop)
        failure = source.finish()
        summary = RunSummary(
            output=output,
            frames=sink.frames,
            heals=sink.heals,
            fps=reader.fps,
            elapsed_s=perf_counter() - begun_s,
            stopped=stopped,
        )
    if failure is not None:
        raise IncompleteVideoError(f"{failure}; {summary.frames} frames are in {output}", summary) from failure
    return summary


def _pump(
    source: Source, engine: Session, sink: Sink, progress: Progress | None, stop: Callable[[], bool] | None
) -> bool:
    """Everything from the source to the sink; returns whether ``stop`` ended it early."""
    engine.reset()
    # Closing the stream ends its reading thread before the reader and the writer are closed.
    with closing(engine.stream(source)) as outputs:
        for output in outputs:
            if stop is not None and stop():
                return True
            sink.show(output)
            if progress is not None:
                progress(sink.frames, source.expected)
    return False


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        raise ValueError(f"unknown layout {name!r}; expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
