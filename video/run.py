"""A whole video or a live camera through an engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import perf_counter

from mostnet.contract import FLOW, MASK, VideoError
from mostnet.engine import Session
from mostnet.video.camera.live import Live
from mostnet.video.steady.stabiliser import Stabiliser, StabiliserOptions

from .flow_colour import FlowScale
from .layouts import LAYOUTS, Layout
from .recorded import Recorded
from .sink import Sink, Viewer
from .writer import VideoWriter

#: Called after each frame with the frames done and the frames expected, None where the source does not say.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What a run did.

    Attributes:
        output: the file written; None where the run was only shown.
        frames: pictures written or shown.
        heals: frames whose state or picture came out NaN or infinite and was healed.
        fps: frame rate of the video.
        elapsed_s: wall time of the run.
        stopped: the caller asked to stop before the end, or closed the window.
        resets: cuts and returns from darkness, at which the engine started anew.
        lost: frames shown while the stabiliser did not know the motion; 0 without one.
        raw: frames of a camera shown as they came, labelled, since the engine was late or failed.
        dropped: frames of a camera that were skipped because newer ones had come.
        reconnects: times that the camera was opened again.
    """

    output: Path | None
    frames: int
    heals: int
    fps: Fraction
    elapsed_s: float
    stopped: bool
    resets: int = 0
    lost: int = 0
    raw: int = 0
    dropped: int = 0
    reconnects: int = 0

    @property
    def speed_fps(self) -> float:
        """Frames processed per second of wall time, reading and writing included."""
        return self.frames / self.elapsed_s if self.elapsed_s else 0.0


class IncompleteVideoError(VideoError):
    """The source is damaged or broke off; all that could be read was processed and written, as ``summary`` tells."""

    def __init__(self, message: str, summary: RunSummary) -> None:
        super().__init__(message)
        self.summary = summary


def outputs_needed(layout: str, *, stabilise: bool) -> tuple[str, ...]:
    """Engine outputs that ``run`` needs for a layout.

    Raises:
        ValueError: unknown layout.
    """
    needs = _layout(layout).needs
    return tuple(dict.fromkeys((*needs, FLOW, MASK))) if stabilise else needs


def run(
    video: str | Path | int,
    engine: Session,
    output: str | Path | None,
    *,
    layout: str = "enhanced",
    frames: int | None = None,
    flow_max_px: float | None = None,
    crf: int = 18,
    stabilise: StabiliserOptions | None = None,
    status: bool | None = None,
    window: Viewer | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> RunSummary:
    """Send ``video`` through ``engine``; write and show the picture of ``layout`` for each frame.

    Frames are resized to the engine's size and its results back to the video's. Each frame of a file keeps its time, so
    that frames which could not be read leave a pause and the rest stays in step. The engine starts anew at scene cuts
    and after darkness. A camera is followed live: see ``Live``.

    Args:
        video: file, or camera number.
        engine: an open engine or session with the outputs that ``outputs_needed`` names; it is reset first.
        output: MP4 file to write, replaced once at least one frame is written; None with a ``window`` alone.
        layout: a name out of ``LAYOUTS``.
        frames: stop after this many; None for all.
        flow_max_px: length of flow shown at full colour; None follows the video.
        crf: quality of the written video, as ``VideoWriter`` takes it.
        stabilise: steady the enhanced picture.
        status: write tracking state and speed on the picture; by default where it is stabilised or live.
        window: where to show the pictures too; closed at the end.
        progress: called after each frame.
        stop: asked before each frame is shown; true ends the run early with what there is.

    Raises:
        ValueError: unknown layout, a number out of range, or neither output nor window.
        VideoError: the video or camera cannot be opened or the output not written.
        IncompleteVideoError: the video is damaged or cut short, or the camera gone for good; ``output`` has the rest.
    """
    drawing = _layout(layout)
    scale = FlowScale(flow_max_px)
    _check(video, output, frames, window)
    is_live = isinstance(video, int)

    def make_sink(size_hw: tuple[int, int], fps: Fraction, pixel_aspect: Fraction) -> Sink:
        writer = None
        if output is not None:
            writer = VideoWriter(output, fps, drawing.size_hw(size_hw), crf=crf, pixel_aspect=pixel_aspect)
        stabiliser = None if stabilise is None else Stabiliser(stabilise)
        shows_status = (stabilise is not None or is_live) if status is None else status
        return Sink(drawing, scale, size_hw, writer=writer, window=window, stabiliser=stabiliser, status=shows_status)

    source = Live(video, engine, frames) if isinstance(video, int) else Recorded(video, engine, frames)
    with closing(source):
        sink = make_sink(source.size_hw, source.fps, source.pixel_aspect)
        begun_s = perf_counter()
        with closing(sink):
            engine.reset()
            stopped = source.pump(sink, progress, stop)
            sink.flush()
        failure = source.finish()
        summary = RunSummary(
            output=None if output is None else Path(output),
            frames=sink.frames,
            heals=sink.counts.heals,
            fps=source.fps,
            elapsed_s=perf_counter() - begun_s,
            stopped=stopped,
            resets=source.resets,
            lost=sink.counts.lost,
            raw=sink.counts.raw,
            dropped=source.dropped,
            reconnects=source.reconnects,
        )
    if failure is not None:
        kept = f"{summary.frames} frames are in {output}" if output is not None else f"{summary.frames} frames shown"
        raise IncompleteVideoError(f"{failure}; {kept}", summary) from failure
    return summary


def _check(video: str | Path | int, output: str | Path | None, frames: int | None, window: Viewer | None) -> None:
    if frames is not None and frames < 1:
        raise ValueError(f"frames is {frames}; expected at least 1, or None for all")
    if output is None:
        if window is None:
            raise ValueError("neither output nor window; give one of them")
        return
    output = Path(output)
    if not isinstance(video, int) and output.exists() and Path(video).exists() and output.samefile(video):
        raise VideoError(f"{output}: is the video itself; give another name for the output")


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        raise ValueError(f"unknown layout {name!r}; expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
