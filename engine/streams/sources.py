"""The sources that ``stream`` takes: frames, a video by its path, or a ``cv2.VideoCapture``.

The engine needs numpy only. So it knows a capture by its methods, and imports the reader of videos when it has a path.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

from mostnet.contract import BackendNotInstalledError, FrameError, VideoError

_LOG = logging.getLogger(__name__)

#: Importable module with ``VideoReader``.
_READER = "mostnet.video.reader"

#: ``cv2.CAP_PROP_FRAME_COUNT``.
_FRAME_COUNT = 7


class OpenCvCapture(Protocol):
    """The part of ``cv2.VideoCapture`` that a stream uses."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether there is a file or camera."""

    def grab(self) -> bool:
        """Take the next frame without decoding it; never called, but no other class has it."""

    def read(self) -> tuple[bool, Any]:
        """Whether there was a next frame, and the frame."""

    def get(self, propId: int, /) -> float:  # noqa: N803 - OpenCV's name
        """A property."""


#: Frames, or pairs ``(frame, timestamp)``; the path of a video; or an opened ``cv2.VideoCapture``. A frame may have
#: the wide type of OpenCV's results: its dtype and shape are checked when it comes.
Source: TypeAlias = (
    "Iterable[npt.NDArray[Any] | tuple[npt.NDArray[Any], object]] | str | os.PathLike[str] | OpenCvCapture"
)


def is_path(source: object) -> bool:
    """True for the path of a video."""
    return isinstance(source, str | os.PathLike)


def open_source(source: Any, size_hw: tuple[int, int]) -> Iterator[object]:
    """An iterator over the frames of ``source``, for an engine of ``size_hw``. A video opens with the first ``next``.

    Raises:
        TypeError: ``source`` is nothing that gives frames.
    """
    if is_path(source):
        return _read_video(source, size_hw)
    if all(callable(getattr(source, name, None)) for name in ("isOpened", "grab", "read")):
        return _read_capture(source)
    if not hasattr(type(source), "__iter__") and not hasattr(type(source), "__getitem__"):
        raise TypeError(
            f"the source of a stream is {source!r}, which is not iterable; expected frames, the path of a video or a "
            "cv2.VideoCapture; for the camera of a number, cv2.VideoCapture(number) or mostnet.video.run"
        )
    frames: Iterator[object] = iter(source)
    return frames


def frame_and_timestamp(item: object) -> tuple[Any, Any]:
    """The parts of a pair ``(frame, timestamp)`` that a source gave; a frame alone has the timestamp None."""
    return item if isinstance(item, tuple) and len(item) == 2 else (item, None)


def close_source(source: Iterator[object] | None, *, owned: bool) -> None:
    """Close a source that is a generator and that nobody else uses; the thread that read it calls this."""
    if owned and isinstance(source, Generator):
        try:
            source.close()
        except Exception:  # no consumer is left to raise it to
            _LOG.exception("the source of a stream failed while it was closed")


def _read_video(path: str | os.PathLike[str], size_hw: tuple[int, int]) -> Generator[object, None, None]:
    """Pairs (frame, seconds since the first frame).

    Raises:
        BackendNotInstalledError: the libraries that read videos are not installed.
        FrameError: the video has another size.
        VideoError: it cannot be opened, or is damaged.
    """
    try:
        reader = import_module(_READER).VideoReader
    except ImportError as error:
        raise BackendNotInstalledError(
            f"{path}: reading a video needs PyAV and OpenCV ({error}); pip install av opencv-python, or hand in frames"
        ) from error
    with reader(path if isinstance(path, str) else Path(path)) as video:
        if video.size_hw != size_hw:
            raise FrameError(
                f"{path}: its frames have shape {(*video.size_hw, 3)}; expected {(*size_hw, 3)}, the engine's: "
                "mostnet.video.run scales frames and results, or export the model with --size"
            )
        for time_s, frame in video.timed():
            yield frame, float(time_s)


def _read_capture(capture: OpenCvCapture) -> Generator[object, None, None]:
    """Frames of an OpenCV capture, which stays open.

    OpenCV does not say whether a file has ended or a camera has failed. Only a file knows its number of frames.

    Raises:
        VideoError: it is not open, gave no frame at all, or ended without a known number of frames.
    """
    if not capture.isOpened():
        raise VideoError("the cv2.VideoCapture is not open; check the name of its file or the number of its camera")
    count = 0
    while True:
        good, frame = capture.read()
        if not good:
            break
        count += 1
        yield frame
    if count == 0 or not capture.get(_FRAME_COUNT) > 0:
        raise VideoError(
            f"the cv2.VideoCapture gave no frame after {count} frames; a camera failed, or a file of unknown length "
            "ended: check the camera's cable, or hand in the path of the file"
        )
