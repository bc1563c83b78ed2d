"""Join the results of the spans of a video into one file, without encoding them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path

import av

from mostnet.contract import ArchiveError, VideoError
from mostnet.contract.files import atomic_path
from mostnet.contract.terminal import counted
from mostnet.video.files.opening import file_url
from mostnet.video.spans.copying import PacketWriter
from mostnet.video.spans.packets import PacketReader

from .records import Span

#: The source is read this much ahead of the pictures that are written, so that their sound is there.
_AHEAD_S = 1
_AGAIN = "run the video again"


def join_parts(
    parts: Sequence[Path],
    video: Path,
    output: Path,
    spans: Sequence[Span],
    *,
    between: Callable[[], object] | None = None,
) -> None:
    """Join the files of ``run_span`` into ``output``, with the times and the sound of a run of the whole ``video``.

    Args:
        parts: MP4 files, one for each span.
        video: the file that they were made from.
        output: MP4 file to write. It is whole or, after an error, as it was before.
        spans: what ``spans_of`` gave.
        between: called after each frame; it ends the work if it raises.

    Raises:
        ArchiveError: a part cannot be read, is not what its span says, or was encoded with other settings than the
            first one, or ``output`` cannot be written.
        VideoError: ``video`` cannot be read.
        OSError: the folder of ``output`` cannot be written.
    """
    if not parts or len(parts) != len(spans):
        raise ArchiveError(f"{output}: found {len(parts)} parts, expected one for each of {len(spans)} spans")
    with closing(PacketReader(video, with_sound=True)) as source, atomic_path(output) as growing:
        try:
            _join(parts, source, growing, spans, between or (lambda: None))
        except VideoError as error:  # it names the growing file, which is gone
            reason = getattr(error.__cause__, "strerror", None) or error
            raise ArchiveError(f"{output}: cannot be written ({reason}); free some space and {_AGAIN}") from error


def _join(
    parts: Sequence[Path],
    source: PacketReader,
    growing: Path,
    spans: Sequence[Span],
    between: Callable[[], object],
) -> None:
    with _video_of(parts[0]) as first, PacketWriter(growing, first, sound=source.sound) as writer:
        read = _Reading(source)
        for part, span in zip(parts, spans, strict=True):
            begin = round(span.begin_s * writer.ticks)
            for packet in _packets(part, span, first):
                assert packet.pts is not None
                pts = begin + packet.pts
                read.until(Fraction(pts, writer.ticks) + _AHEAD_S)
                writer.copy(packet, pts=pts)
                between()
        writer.keep_all_sound()


class _Reading:
    """Where the reader of the source is; it reads the sound on its way."""

    def __init__(self, source: PacketReader) -> None:
        self._times = source.times()
        self._read_s = Fraction(-1)

    def until(self, time_s: Fraction) -> None:
        """Go on to the picture at ``time_s``, or to the end of the file."""
        while self._read_s < time_s and (found := next(self._times, self)) is not self:
            self._read_s = self._read_s if not isinstance(found, Fraction) else max(self._read_s, found)


@contextmanager
def _video_of(part: Path) -> Iterator[av.VideoStream]:
    """The pictures of an open part.

    Raises:
        ArchiveError: it cannot be read.
    """
    try:
        with av.open(file_url(part)) as container:
            yield container.streams.video[0]
    except (av.FFmpegError, IndexError) as error:
        raise ArchiveError(f"{part}: the part cannot be read ({error}); {_AGAIN}") from error


def _packets(part: Path, span: Span, first: av.VideoStream) -> Iterator[av.Packet]:
    """Packets of a part, checked.

    Raises:
        ArchiveError: it is not what its span says, or was encoded with other settings than ``first``.
    """
    count, last = 0, -1
    with _video_of(part) as stream:
        if _settings(stream) != _settings(first):
            raise ArchiveError(f"{part}: was encoded with other settings than the first part; {_AGAIN}")
        for packet in stream.container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None or packet.pts <= last:
                raise ArchiveError(f"{part}: its times do not rise after {counted(count, 'frame')}; {_AGAIN}")
            last, count = packet.pts, count + 1
            yield packet
    if count != span.frames:
        raise ArchiveError(f"{part}: has {counted(count, 'frame')}, expected {span.frames}; {_AGAIN}")


def _settings(stream: av.VideoStream) -> tuple[object, ...]:
    """What one header of the joined file says for all its parts, the SPS and PPS of H.264 among it."""
    return bytes(stream.codec_context.extradata or b""), stream.time_base, stream.sample_aspect_ratio
