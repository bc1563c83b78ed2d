"""Open a file or pipe with PyAV: every name is a file's name, and no network connection is made."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import av

from mostnet.contract import VideoError

from .boxes import index_is_late, second_movie
from .pipe import PipeFile

_LOG = logging.getLogger(__name__)

#: The name of standard input; a file of this name is ``Path("-")`` or ``./-``.
STDIN = "-"
_STDIN_PATHS = tuple(Path(path) for path in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))

#: The protocols that a file may use, for a playlist's parts: FFmpeg's others reach the network.
_LOCAL = {"protocol_whitelist": "file,crypto"}
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)

Stop = Callable[[], bool]


def is_address(source: str | Path) -> bool:
    """Whether the name is that of no file but looks like ``http://...``; a ``Path`` keeps one slash of it."""
    return _ADDRESS.match(str(source)) is not None and not os.path.lexists(source)


def source_name(source: str | Path) -> str:
    """The source's name for messages."""
    return "standard input" if source == STDIN else str(source)


def file_url(path: Path) -> str:
    """``path`` as FFmpeg must be given it: what is before a colon would be taken for a protocol."""
    return f"file:{path}"


def open_video(source: str | Path, *, stop: Stop | None = None) -> tuple[av.container.InputContainer, PipeFile | None]:
    """Open a file, or a pipe and return it too. The pipe asks ``stop`` while it waits for data.

    Raises:
        VideoError: missing, empty, no video, an address, or a folder or device.
    """
    from_stdin = source == STDIN or Path(source) in _STDIN_PATHS
    name, path = source_name(source), Path(source)
    mode = _mode(path, name, from_stdin=from_stdin)
    if stat.S_ISFIFO(mode) or (from_stdin and stat.S_ISSOCK(mode)):
        return _open_pipe(PipeFile(None if from_stdin else path, name, stop))
    if not stat.S_ISREG(mode):
        raise VideoError(f"{name}: {_kind(path, mode, from_stdin=from_stdin)}")
    return _open_file(_STDIN_PATHS[0] if source == STDIN else path, name), None


def _mode(path: Path, name: str, *, from_stdin: bool) -> int:
    try:
        return (os.fstat(0) if from_stdin else path.stat()).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a zero byte
        if is_address(path):
            raise VideoError(
                f"{name}: an address, and mostnet opens no network connection; let ffmpeg read it: "
                "ffmpeg -i ADDRESS -c copy -f matroska - | mostnet-run - ..."
            ) from error
        raise VideoError(
            f"{name}: no such file or folder; give a video file, a folder or pattern of pictures, or a camera number"
        ) from error
    except OSError as error:
        raise VideoError(f"{name}: cannot be read ({error.strerror}); give a video file") from error


def _kind(path: Path, mode: int, *, from_stdin: bool) -> str:
    if stat.S_ISDIR(mode):
        return "is a folder; give a video file in it, or a folder of pictures"
    if from_stdin and os.isatty(0):
        return "is a terminal; pipe a video into it, such as ffmpeg -i FILE -c copy -f matroska - | mostnet-run - ..."
    if found := re.fullmatch(r"/dev/video(\d+)", str(path)):
        return f"is a device; for a camera give its number, {found[1]}"
    return "is a device or socket, not a video; give a video file or a camera number"


def _open_file(path: Path, name: str) -> av.container.InputContainer:
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise VideoError(f"{name}: cannot be read ({error.strerror}); give a video file") from error
    if not head:
        raise VideoError(f"{name}: the file is empty; give a video file or a camera number")
    is_mp4 = head[4:8] == b"ftyp"
    try:
        container = av.open(file_url(path), options=_LOCAL, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        if is_mp4:
            raise VideoError(
                f"{name}: an MP4 without its index (moov): the recording or copy was cut off; copy it again"
            ) from error
        raise VideoError(f"{name}: not a video that can be read ({error.strerror}); give a video file") from error
    if second_movie(path):
        _LOG.warning(
            "%s: a second MP4 follows the first one in this file and is left out, or a part of it; "
            "join them with ffmpeg -f concat",
            name,
        )
    return container


def _open_pipe(pipe: PipeFile) -> tuple[av.container.InputContainer, PipeFile]:
    try:
        if index_is_late(pipe.read_at):
            raise VideoError(
                f"{pipe.name}: an MP4 with its index at the end cannot be read from a pipe; give the file itself, or "
                "put the index in front: ffmpeg -i FILE -c copy -movflags faststart NEW.mp4"
            )
        if not pipe.read_at(0, 1):
            raise VideoError(f"{pipe.name}: ended without any data; check the command that writes into it")
        return av.open(pipe, options=_LOCAL, metadata_errors="replace"), pipe
    except BaseException as error:
        pipe.close()
        pipe.check()
        if pipe.stopped:
            raise VideoError(f"{pipe.name}: stopped before the first frame") from error
        if isinstance(error, (av.FFmpegError, OSError)):
            raise VideoError(
                f"{pipe.name}: not a video that can be read from a pipe ({error.strerror}); give a video file, or pipe "
                "Matroska or MPEG-TS"
            ) from error
        raise
