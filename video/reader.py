"""Read frames from a file or a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

from mostnet.contract import Frame, VideoError
from mostnet.contract.arguments import RATES
from mostnet.video.camera.source import CameraSource
from mostnet.video.files.opening import STDIN
from mostnet.video.files.pictures import PictureSource
from mostnet.video.files.sequences import find_pictures
from mostnet.video.sound.source import SoundSource
from mostnet.video.spans.source import SpanSource
from mostnet.video.spans.span import Span

from .decode import FileSource


class VideoReader:
    """Iterate over the uint8 ``(H, W, 3)`` BGR frames of a video file, pipe, camera, or of pictures, once.

    Rotation and mirroring stored in the file are applied. All frames are scaled to the size of the first. A damaged or
    cut file yields every frame that decodes and *then* raises, so that no loop mistakes half a video for a whole one. A
    loop that stops before the end should call ``check``. The times of joined recordings go on from part to part.

    The source may be the name of a file or FIFO, ``"-"`` for standard input, or stand for pictures: a folder, a pattern
    like ``frames/%04d.png`` or ``frames/*.png``, or one picture. Pictures are read in numeric order. An existing file
    of that name comes first, and no network connection is ever opened.

    Attributes:
        fps: frame rate, as exact as in the file.
        size_hw: height and width of the frames, in pixels.
        frame_count: number of frames according to the file's header; None if it gives none, and for a camera.
        pixel_aspect: width over height of one pixel.
        sound: the sound of a file, empty without ``with_sound``; None for a camera and for pictures.
    """

    def __init__(
        self,
        source: str | Path | int,
        *,
        fps: Fraction | float | None = None,
        stop: Callable[[], bool] | None = None,
        with_sound: bool = False,
        span: Span | None = None,
    ) -> None:
        """Open the source, or a camera by its number, and decode its first frame.

        Args:
            source: see above.
            fps: frame rate of pictures (25 without it), and of a file that gives none or one that cannot be true.
            stop: asked while a pipe has no data; true ends the video there.
            with_sound: keep the sound that is read on the way to the frames, for a ``VideoWriter``.
            span: yield only the frames of this part of a file, and before them its warm-up frames. Times still count
                from the first frame of the file.

        Raises:
            ValueError: ``fps`` is no frame rate, or sound is to be kept of a span.
            VideoError: missing, empty or not a video; no frame in it decodes; the camera cannot be opened; ``fps``
                contradicts the true rate.
        """
        if fps is not None and not RATES[0] <= fps <= RATES[1]:
            raise ValueError(f"fps is {fps}; expected a frame rate from {float(RATES[0])} to {RATES[1]}, or None")
        if span is not None and with_sound:
            raise ValueError("the sound of a span cannot be read; leave out with_sound")
        rate = None if fps is None else Fraction(fps).limit_denominator(1_000_000)
        self._source = _open(source, rate, stop, with_sound=with_sound, span=span)
        self.sound: SoundSource | None = self._source.sound if isinstance(self._source, FileSource) else None
        self.fps: Fraction = self._source.fps
        self.size_hw: tuple[int, int] = self._source.size_hw
        self.frame_count: int | None = self._source.frame_count
        self.pixel_aspect: Fraction = self._source.pixel_aspect

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; errors as in ``timed``."""
        return (frame for _, frame in self.timed())

    def timed(self) -> Iterator[tuple[Fraction, Frame]]:
        """Yield ``(time_s, frame)``, the time counted from the first frame.

        Raises:
            VideoError: after the last frame that decodes, if the file is damaged or ends early (fewer frames *and*
                less time than in its header). The message gives frame, second and number of frames read.
        """
        return self._source.pictures()

    def check(self) -> None:
        """Check the frames read so far; for a loop that stops before the end.

        Raises:
            VideoError: a frame up to the last one read is missing or damaged. The message gives frame and second.
        """
        self._source.check()

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` ended a pipe before its end."""
        return self._source.stopped

    def close(self) -> None:
        """Close the file or camera; closing twice does nothing."""
        self._source.close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(
    source: str | Path | int,
    fps: Fraction | None,
    stop: Callable[[], bool] | None,
    *,
    with_sound: bool,
    span: Span | None,
) -> CameraSource | FileSource | PictureSource:
    if isinstance(source, int):
        if fps is not None:
            raise VideoError(f"camera {source}: sets its own frame rate; leave out the rate ({float(fps):g})")
        return CameraSource(source)
    try:
        pictures = None if source == STDIN else find_pictures(source)
    except OSError as error:
        raise VideoError(f"{source}: cannot be read ({error.strerror}); give a video file") from error
    if span is not None:
        if pictures is not None:
            raise VideoError(f"{source}: a span is read from a video file, and these are pictures; give a video file")
        return SpanSource(source, span, fps=fps)
    if pictures is not None:
        return PictureSource(pictures, fps=fps)
    return FileSource(source, fps=fps, stop=stop, with_sound=with_sound)


def named_clip(name: str | Path) -> Path:
    """The file of this name, or the demo clip for ``demo``. A folder ``demo`` is none: `make demo` leaves one.

    Raises:
        VideoError: as ``demo_clip``.
    """
    return demo_clip() if str(name) == "demo" and not Path(name).is_file() else Path(name)


def demo_clip() -> Path:
    """Path of the short synthetic clip in the package, made by ``docs/make_demo_clip.py``.

    Raises:
        VideoError: the package was installed without it.
    """
    path = Path(str(files("mostnet.video").joinpath("demo.mp4")))
    if not path.is_file():
        raise VideoError(f"{path}: the demo clip is missing; install mostnet again")
    return path
