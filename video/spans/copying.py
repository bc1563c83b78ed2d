"""Write encoded parts of a video into one file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from mostnet.video.sound.source import SoundSource
from mostnet.video.writer import VideoWriter


class PacketWriter(VideoWriter):
    """A ``VideoWriter`` that takes the packets of files which a ``VideoWriter`` has written."""

    def __init__(self, path: str | Path, template: av.VideoStream, *, sound: SoundSource | None = None) -> None:
        """Open the file for packets like those of the stream ``template``; see ``VideoWriter`` for the others."""
        self._template = template
        context = template.codec_context
        rate = Fraction(template.guessed_rate or 1)
        super().__init__(path, rate, (context.height, context.width), sound=sound)

    def __enter__(self) -> PacketWriter:
        return self

    @property
    def ticks(self) -> int:
        """Clock ticks per second."""
        return self._ticks

    def copy(self, packet: av.Packet, *, pts: int) -> None:
        """Append a packet, shown at ``pts`` ticks.

        Raises:
            VideoError: writing failed.
        """
        packet.pts = packet.dts = self._last_pts = pts
        packet.stream = self._stream
        with self._reporting():
            self._put([packet])
        self.frames_written += 1

    def _add_stream(self, crf: int, pixel_aspect: Fraction) -> av.VideoStream:
        stream = self._container.add_stream_from_template(self._template)
        self._ticks = (1 / Fraction(self._template.time_base or 1)).numerator
        stream.time_base = Fraction(1, self._ticks)
        return stream

    def _encode(self, picture: av.VideoFrame | None) -> None:
        assert picture is None, "close() has no picture to encode"
        with self._reporting():
            self._put([], is_end=True)
