"""Run a video file or a live camera through an engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter

from mostnet.contract import MostnetError, OutputMissingError, OutputName, VideoError
from mostnet.engine import Session
from mostnet.video.camera.live import Live
from mostnet.video.files.opening import STDIN, source_name
from mostnet.video.files.writing import PictureWriter
from mostnet.video.spans.span import Span
from mostnet.video.steady.options import MAX_FPS, MAX_LOOKAHEAD, MIN_FPS, StabiliserOptions
from mostnet.video.steady.stabiliser import Stabiliser

from .fit import FrameFit
from .flow_colour import FlowScale
from .layouts import LAYOUTS, Layout
from .recorded import Recorded
from .sink import Sink, Viewer
from .writer import VideoWriter

#: Fewest frames that ``read_ahead`` reads ahead of a file: a second of it at the usual rates.
_FILE_LOOKAHEAD = 30

#: Outputs that are pictures, or refused as such: their writer says that only PNG keeps every bit.
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

_LOG = logging.getLogger(__name__)

#: Called after each frame with the number of frames done, and the number expected or None.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The result of a run.

    Attributes:
        output: the file written, or the pattern of pictures; None if nothing was written.
        frames: pictures written or shown.
        heals: frames whose state or picture was NaN or infinite and was healed by the graph.
        fps: frame rate of the video.
        elapsed_s: wall time of the run.
        stopped: whether ``stop`` or closing the window ended the run early.
        resets: new scenes (a cut, or the end of darkness), at which the engine was reset.
        lost: frames shown while the stabiliser did not know the motion; 0 without a stabiliser.
        faded: frames shown with a faded correction, because it would have added shake.
        toothless: frames shown while the stabiliser saw no teeth; 0 without a stabiliser.
        raw: camera pictures shown unprocessed and labelled, because a result or a new frame was missing.
        dropped: camera frames skipped because newer ones had come.
        reconnects: how often the camera was reopened.
        stabilise: settings that the enhanced picture was stabilised with, or None.
    """

    output: Path | None
    frames: int
    heals: int
    fps: Fraction
    elapsed_s: float
    stopped: bool
    resets: int = 0
    lost: int = 0
    faded: int = 0
    toothless: int = 0
    raw: int = 0
    dropped: int = 0
    reconnects: int = 0
    stabilise: StabiliserOptions | None = None

    @property
    def speed_fps(self) -> float:
        """Frames processed per second of wall time, reading and writing included."""
        return self.frames / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def events(self) -> dict[str, int]:
        """The special events that happened, by the name that follows their count in a message."""
        counts = {
            "new scenes": self.resets,
            "without tracking": self.lost,
            "with a faded correction": self.faded,
            "without teeth": self.toothless,
            "raw": self.raw,
            "dropped": self.dropped,
            "reconnects": self.reconnects,
            "came out invalid and were replaced": self.heals,
        }
        return {name: count for name, count in counts.items() if count}


class IncompleteVideoError(VideoError):
    """The source is damaged or ended early; ``summary`` describes the frames that were processed."""

    def __init__(self, message: str, summary: RunSummary) -> None:
        super().__init__(message)
        self.summary = summary


def outputs_needed(layout: str, *, stabilise: bool = False) -> tuple[OutputName, ...]:
    """Engine outputs that ``run`` needs for a layout, with or without a stabiliser.

    Raises:
        ValueError: unknown layout, ``original`` without a stabiliser, or ``flow`` or ``mask`` with one.
    """
    return _layout(layout, stabilise=stabilise).outputs(stabilise=stabilise)


def run(
    video: str | Path | int,
    engine: Session,
    output: str | Path | None,
    *,
    layout: str = "enhanced",
    frames: int | None = None,
    fps: Fraction | float | None = None,
    flow_max_px: float | None = None,
    crf: int = 18,
    stabilise: StabiliserOptions | None = None,
    read_ahead: bool = False,
    status: bool | None = None,
    window: Viewer | None = None,
    progress: Progress | None = None,
    still: int | None = None,
    span: Span | None = None,
    stop: Callable[[], bool] | None = None,
) -> RunSummary:
    """Send ``video`` through ``engine``; write and show the picture of ``layout`` for each frame.

    Frames are scaled to the engine's size, between margins if the shapes differ, and results are scaled back. Each
    frame of a file keeps its time: an unreadable frame leaves a pause, and later frames are not shifted. The engine is
    reset at scene cuts and after darkness. A camera is shown live, see ``Live``. The sound of a file is written too.

    Args:
        video: file, or camera number, or what else ``VideoReader`` reads.
        engine: an open engine or session with the outputs that ``outputs_needed`` names; it is reset first.
        output: MP4 file to write; it is replaced only if at least one frame was written. Or a pattern of pictures,
            ``out/%05d.png``, numbered from 0, or the PNG file of ``still``. None needs a ``window``.
        layout: a name in ``LAYOUTS``. ``flow`` and ``mask`` show no picture that ``stabilise`` could move.
        frames: stop after this many; None for all.
        fps: frame rate of pictures, and of a file that gives none or an impossible one, see ``VideoReader``.
        flow_max_px: length of flow shown at full colour; None follows the video.
        crf: quality of the written video, see ``VideoWriter``.
        stabilise: settings to stabilise the enhanced picture with, or the input of the layout ``original``, at the
            video's own frame rate; None leaves it as it is.
        read_ahead: choose the look-ahead by the source. It is one second of a file, but 30 to 60 frames, and 0 for a
            camera.
        status: write the tracking state, and the frame rate of a camera, on the picture; None does so if it is
            stabilised or live.
        window: also show the pictures there; it is closed at the end.
        progress: called after each frame.
        still: write only this frame, counted from 0, as it is in the whole video, and end the run after it.
        span: run only this part of a file, after its warm-up frames, which are not written, shown or counted. The
            written times count from ``begin_s``, and there is no sound.
        stop: called before each frame is shown, and while a pipe has no data; true ends the run and keeps the frames.

    Raises:
        ValueError: unknown layout, one that does not go with ``stabilise``, a number out of range, or output and window
            are both None, or ``span`` does not go with ``stabilise``, ``frames`` or ``still``.
        TypeError: ``engine`` is a path, or ``stabilise`` is no StabiliserOptions.
        OutputMissingError: the engine was opened without an output that layout or ``stabilise`` need.
        VideoError: the video or camera cannot be opened, or the output cannot be written.
        IncompleteVideoError: the video is damaged or cut short, or the camera failed; ``output`` keeps earlier frames.
        KeyboardInterrupt: Ctrl-C. ``output`` then plays and holds the frames written so far, without those that wait
            for a look-ahead; it replaces an older file. ``stop`` ends a run without losing any.
    """
    _check_types(engine, stabilise)
    drawing = _layout(layout, stabilise=stabilise is not None)
    _check_outputs(engine, drawing.outputs(stabilise=stabilise is not None))
    scale = FlowScale(flow_max_px)
    _check(video, output, frames, still, window)
    _check_span(span, video, is_free=stabilise is None and frames is None and still is None)
    with_sound = output is not None and span is None and not _is_picture(output, still)
    with closing(_source(video, engine, frames, fps, stop, with_sound=with_sound, span=span)) as source:
        begin_s = Fraction(0) if span is None else span.begin_s
        writer = None if output is None else _writer(output, still, source, drawing, crf, begin_s)
        _say_what_sizes_change(video, source.fit, drawing)
        steady = None if stabilise is None else _fitted(stabilise, source, read_ahead=read_ahead)
        sink = Sink(
            drawing,
            scale,
            source.fit,
            writer=writer,
            window=window,
            stabiliser=None if steady is None else Stabiliser(steady),
            status=(stabilise is not None or isinstance(source, Live)) if status is None else status,
            live=isinstance(source, Live),
        )
        begun_s = perf_counter()
        with closing(sink):
            engine.reset()
            try:
                stopped = source.pump(sink, _until(still, steady, progress), _stop_or_done(stop, sink))
            except MostnetError as error:
                if not isinstance(error, VideoError):  # the engine failed, and the writer did not
                    sink.flush()
                raise
            stopped = stopped and not sink.is_done
            sink.flush()
            if isinstance(writer, VideoWriter) and source.complete and not stopped:
                writer.keep_all_sound()
        failure = source.finish()
        elapsed_s = perf_counter() - begun_s
        written = output if writer is not None and writer.frames_written else None
        summary = _summary(source, sink, written, steady, elapsed_s=elapsed_s, stopped=stopped)
    if failure is not None:
        raise IncompleteVideoError(f"{failure}; {_kept(summary, output, still)}", summary) from failure
    if still is not None and written is None and not stopped:
        raise VideoError(
            f"{source_name(str(video))}: has {summary.frames} frames, numbered from 0; give --still a smaller number "
            f"than {still}"
        )
    return summary


def _source(
    video: str | Path | int,
    engine: Session,
    frames: int | None,
    fps: Fraction | float | None,
    stop: Callable[[], bool] | None,
    *,
    with_sound: bool,
    span: Span | None,
) -> Live | Recorded:
    if not isinstance(video, int):
        return Recorded(video, engine, frames, fps=fps, stop=stop, with_sound=with_sound, span=span)
    if fps is not None:
        raise VideoError(f"camera {video}: sets its own frame rate; leave out the rate ({float(fps):g})")
    return Live(video, engine, frames)


def _is_picture(output: str | Path, still: int | None) -> bool:
    return still is not None or Path(output).suffix.lower() in _PICTURES


def _writer(
    output: str | Path, still: int | None, source: Live | Recorded, layout: Layout, crf: int, begin_s: Fraction
) -> VideoWriter | PictureWriter:
    size_hw = layout.size_hw(source.size_hw)
    if _is_picture(output, still):
        return PictureWriter(output, size_hw, still=still)
    aspect, sound = source.pixel_aspect, source.sound
    return VideoWriter(output, source.fps, size_hw, crf=crf, pixel_aspect=aspect, sound=sound, begin_s=begin_s)


def _until(still: int | None, steady: StabiliserOptions | None, progress: Progress | None) -> Progress | None:
    """``progress`` of a run that ends once frame ``still`` is written."""
    if still is None or progress is None:
        return progress
    most = still + 1 + (0 if steady is None else steady.lookahead)
    return lambda done, total: progress(min(done, most), most if total is None else min(total, most))


def _stop_or_done(stop: Callable[[], bool] | None, sink: Sink) -> Callable[[], bool]:
    return lambda: sink.is_done or (stop is not None and stop())


def _kept(summary: RunSummary, output: str | Path | None, still: int | None) -> str:
    """What is left after a damaged video."""
    if output is None:
        return f"{summary.frames} frames shown"
    if still is None:
        return f"{summary.frames} frames are in {output}"
    return f"frame {still} is not reached" if summary.output is None else f"frame {still} is in {output}"


def _say_what_sizes_change(video: str | Path | int, fit: FrameFit, layout: Layout) -> None:
    name = f"camera {video}" if isinstance(video, int) else source_name(video)
    of_results = fit.remarks() if layout.needs else []
    for remark in (*of_results, layout.remark(fit.frame_hw)):
        if remark is not None:
            _LOG.warning("%s: %s", name, remark)


def _fitted(options: StabiliserOptions, source: Live | Recorded, *, read_ahead: bool) -> StabiliserOptions:
    """The settings with the frame rate of the source, and with its look-ahead if that is wanted."""
    fps = min(max(float(source.fps), MIN_FPS), MAX_FPS)
    if not read_ahead:
        return replace(options, fps=fps)
    lookahead = 0 if isinstance(source, Live) else min(max(_FILE_LOOKAHEAD, round(fps)), MAX_LOOKAHEAD)
    return replace(options, fps=fps, lookahead=lookahead)


def _summary(
    source: Live | Recorded,
    sink: Sink,
    output: str | Path | None,
    stabilise: StabiliserOptions | None,
    *,
    elapsed_s: float,
    stopped: bool,
) -> RunSummary:
    return RunSummary(
        output=None if output is None else Path(output),
        frames=sink.frames,
        heals=sink.counts.heals,
        fps=source.fps,
        elapsed_s=elapsed_s,
        stopped=stopped,
        resets=source.resets,
        lost=sink.counts.lost,
        faded=sink.counts.faded,
        toothless=sink.counts.toothless,
        raw=sink.counts.raw,
        dropped=source.dropped,
        reconnects=source.reconnects,
        stabilise=stabilise,
    )


def _check_types(engine: object, stabilise: object) -> None:
    """Refuse what callers easily take for an engine or for settings."""
    if isinstance(engine, (str, Path)):
        raise TypeError(f"engine is the path {str(engine)!r}; expected an open engine: Engine({str(engine)!r})")
    if stabilise is not None and not isinstance(stabilise, StabiliserOptions):
        raise TypeError(f"stabilise is {stabilise!r}; expected None or settings such as StabiliserOptions('hand')")


def _check_outputs(engine: Session, needed: tuple[OutputName, ...]) -> None:
    missing = [name for name in needed if name not in engine.outputs]
    if missing:
        raise OutputMissingError(
            f"the engine gives no {', '.join(missing)}; open the Engine with outputs={needed!r}, as "
            "outputs_needed(layout, stabilise=...) gives them"
        )


def _check(
    video: str | Path | int,
    output: str | Path | None,
    frames: int | None,
    still: int | None,
    window: Viewer | None,
) -> None:
    if still is not None and (still < 0 or output is None or frames is not None):
        raise ValueError(f"still is {still}; expected a frame number from 0, with an output and without frames")
    if frames is not None and frames < 1:
        raise ValueError(f"frames is {frames}; expected at least 1, or None for all")
    if output is None:
        if window is None:
            raise ValueError("output and window are both None; give at least one of them")
        return
    with suppress(OSError):  # one of them is no file
        if not isinstance(video, int) and Path(output).samefile(video):
            raise VideoError(f"{output}: is the input video; give another name for the output")
    with suppress(OSError):  # the video is no pictures
        if still is not None and Path(output).exists() and Path(output).parent.samefile(_pictures_folder(video)):
            raise VideoError(f"{output}: may be a picture of the input; give another name for the output")


def _check_span(span: Span | None, video: str | Path | int, *, is_free: bool) -> None:
    if span is not None and (isinstance(video, int) or not is_free):
        raise ValueError(f"span is {span}; expected None for a camera, and with stabilise, frames or still")


def _pictures_folder(video: str | Path | int) -> Path:
    """The folder of a video of pictures.

    Raises:
        FileNotFoundError: the video is a file, a pipe or a camera.
    """
    path = Path(str(video))
    if isinstance(video, int) or video == STDIN or (path.exists() and not path.is_dir()):
        raise FileNotFoundError(path)
    return path if path.is_dir() else path.parent  # the folder of a pattern


def _layout(name: str, *, stabilise: bool) -> Layout:
    if name not in LAYOUTS:
        raise ValueError(f"unknown layout {name!r}; expected one of {', '.join(LAYOUTS)}")
    if not LAYOUTS[name].needs and not stabilise:
        raise ValueError(
            f"layout {name!r} shows the input, moved by the stabiliser; give stabilise=StabiliserOptions()"
        )
    if LAYOUTS[name].moved_picture is None and stabilise:
        steadied = ", ".join(name for name, layout in LAYOUTS.items() if layout.moved_picture is not None)
        raise ValueError(
            f"layout {name!r} shows no picture that is steadied; expected one of {steadied}, or no stabiliser"
        )
    return LAYOUTS[name]
