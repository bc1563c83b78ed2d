"""Read frames from a file or a camera."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

from mostnet.contract import Frame, VideoError
from mostnet.video.camera.source import CameraSource
from mostnet.video.sound.source import SoundSource

from .decode import FileSource


class VideoReader:
    """Iterate over the uint8 ``(H, W, 3)`` BGR frames of a video file or camera, once.

    Rotation and mirroring stored in the file are applied. All frames are scaled to the size of the first. A damaged or
    cut file yields every frame that decodes and *then* raises, so that no loop mistakes half a video for a whole one. A
    loop that stops before the end should call ``check``.

    Attributes:
        fps: frame rate, as exact as in the file.
        size_hw: height and width of the frames, in pixels.
        frame_count: number of frames according to the file's header; None if it gives none, and for a camera.
        pixel_aspect: width over height of one pixel.
        sound: the sound of a file that was opened with ``with_sound``; else None.
    """

    def __init__(self, source: str | Path | int, *, with_sound: bool = False) -> None:
        """Open a file by its path, or a camera by its number, and decode its first frame.

        ``with_sound`` keeps the sound that is read on the way to the frames, for a ``VideoWriter``. A camera has none.

        Raises:
            VideoError: missing, empty or not a video; no frame in it decodes; the camera cannot be opened.
        """
        self._source = (
            CameraSource(source) if isinstance(source, int) else FileSource(Path(source), with_sound=with_sound)
        )
        self.sound: SoundSource | None = self._source.sound if with_sound else None
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

    def close(self) -> None:
        """Close the file or camera; closing twice does nothing."""
        self._source.close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def demo_clip() -> Path:
    """Path of the short synthetic clip in the package, made by ``docs/make_demo_clip.py``.

    Raises:
        VideoError: the package was installed without it.
    """
    path = Path(str(files("mostnet.video").joinpath("demo.mp4")))
    if not path.is_file():
        raise VideoError(f"{path}: the demo clip is missing; install mostnet again")
    return path
