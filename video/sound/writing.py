"""Write the sound of a file beside the pictures of a new one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction

import av

from .source import SoundSource, SoundTrack
from .tracks import LATE_S, CopiedTrack, DamagedSoundError, EncodedTrack, WrittenTrack, can_copy

_LOG = logging.getLogger(__name__)

#: What libav raises for data that a container or an encoder does not take.
_BAD_DATA = (av.error.InvalidDataError, av.error.ArgumentError, av.error.PatchWelcomeError)


class SoundWriter:
    """Adds the sound tracks of ``source`` to an output container, and writes them up to the written pictures.

    An MP4 begins once every track has data, so the caller keeps its packets until ``open`` returns True.
    """

    def __init__(self, container: av.container.OutputContainer, source: SoundSource) -> None:
        self._container = container
        self._source = source
        self._tracks: list[tuple[SoundTrack, WrittenTrack]] = []
        self._is_open = False
        self._bad: set[str] = set()

    def open(self, time_s: Fraction | None) -> bool:
        """Add the tracks, if all have sound or the pictures have come to ``time_s`` without; return whether it is done.

        ``time_s`` is None at the end of the pictures.
        """
        if self._is_open:
            return True
        firsts = [track.first_s() for track in self._source.tracks]
        if time_s is not None and time_s < LATE_S and None in firsts:
            return False
        for track, first_s in zip(self._source.tracks, firsts, strict=True):
            in_time = first_s is not None and first_s < LATE_S
            if time_s is None and first_s is None:
                continue  # it has no sound at all
            self._tracks.append((track, self._add(track, in_time=in_time)))
        self._is_open = True
        return True

    def write(self, until_s: Fraction | None) -> None:
        """Write the sound that starts before ``until_s``; None for all that is left.

        Raises:
            av.FFmpegError, OSError: the file cannot be written.
        """
        for track, written in self._tracks:
            for time_s, packet in track.take(until_s):
                self._mux(track, written.packets(time_s, packet))
            self._mux(track, written.advance(until_s))

    def finish(self) -> None:
        """Write what the encoders hold back."""
        for track, written in self._tracks:
            self._mux(track, written.end())

    def _add(self, track: SoundTrack, *, in_time: bool) -> WrittenTrack:
        if can_copy(track.stream) and in_time:
            return CopiedTrack(self._container, track)
        codec = track.stream.codec.canonical_name
        reason = "it starts late" if can_copy(track.stream) else "few players play this codec from an MP4"
        _LOG.warning("%s (%s) is encoded again, as AAC: %s", track.title, codec, reason)
        return EncodedTrack(self._container, track)

    def _mux(self, track: SoundTrack, packets: Iterator[av.Packet]) -> None:
        try:
            for packet in packets:
                self._container.mux(packet)
        except (DamagedSoundError, *_BAD_DATA) as error:
            if track.title not in self._bad:
                self._bad.add(track.title)
                reason = error.strerror if isinstance(error, av.FFmpegError) else error
                _LOG.warning("%s is damaged: parts of it are missing (%s)", track.title, reason)
