"""Sound tracks of an MP4: copied where players of MP4 know the codec, otherwise encoded as AAC."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
from av.bitstream import BitStreamFilterContext

from .source import SoundTrack, duration_of

#: Sampling rates of AAC, in Hz.
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
#: Number of channels -> the layout that AAC names so; any other sound is mixed down to stereo.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_BITS_PER_CHANNEL = 96_000
#: MP3 below this rate does not belong into MP4.
_LEAST_MP3_RATE = 16_000
#: Longest gap between two packets in an MP4; libavformat aborts the process at a longer one.
_MOST_TICKS = 2**31 - 1
#: Codecs whose header must be in the file, and its least number of bytes.
_HEADER_BYTES = {"opus": 19, "flac": 34, "alac": 36}
#: A track without sound this long after the first picture is filled with silence until sound comes.
LATE_S = Fraction(1)
#: Encoded sound is filled up or cut where its clock is off by more than this.
_GAP_S = Fraction(1, 20)

Samples = npt.NDArray[np.float32]


class DamagedSoundError(Exception):
    """Sound that does not decode."""


class WrittenTrack(Protocol):
    """A sound track in the file that is written."""

    def packets(self, time_s: Fraction, packet: av.Packet) -> Iterator[av.Packet]:
        """Packets to write for ``packet`` of the source, which is heard at ``time_s``."""

    def advance(self, until_s: Fraction | None) -> Iterator[av.Packet]:
        """Packets to write when the pictures have come to ``until_s``; None for all that is left."""

    def end(self) -> Iterator[av.Packet]:
        """Packets that an encoder holds back at the end."""


def can_copy(stream: av.AudioStream) -> bool:
    """Whether an MP4 holds the packets of ``stream`` as they are, so that common players play them."""
    codec = stream.codec.canonical_name
    if codec in _HEADER_BYTES:
        return len(stream.codec_context.extradata or b"") >= _HEADER_BYTES[codec]
    if codec == "mp3":
        return bool(stream.rate >= _LEAST_MP3_RATE)
    return codec in ("ac3", "eac3") or (codec == "aac" and stream.codec_context.name == "aac")


class CopiedTrack:
    """Packets as they are, with new times."""

    def __init__(self, container: av.container.OutputContainer, track: SoundTrack) -> None:
        source = track.stream
        self._stream = container.add_stream_from_template(source, opaque=True)
        _keep_language(self._stream, source)
        self._rate = source.rate
        self._last = -self._rate  # at most the packet that the first picture falls into starts before zero
        # AAC of broadcast files has a header in each packet, which MP4 has once.
        self._filter = BitStreamFilterContext("aac_adtstoasc", source) if source.codec_context.name == "aac" else None

    def packets(self, time_s: Fraction, packet: av.Packet) -> Iterator[av.Packet]:
        """See ``WrittenTrack``."""
        duration = round(duration_of(packet) * self._rate)
        for piece in [packet] if self._filter is None else self._filter.filter(packet):
            ticks = min(max(round(time_s * self._rate), self._last + 1), self._last + _MOST_TICKS)
            self._last = piece.pts = piece.dts = ticks
            piece.duration, piece.time_base, piece.stream = duration, Fraction(1, self._rate), self._stream
            yield piece

    def advance(self, until_s: Fraction | None) -> Iterator[av.Packet]:
        """See ``WrittenTrack``."""
        return iter(())

    def end(self) -> Iterator[av.Packet]:
        """See ``WrittenTrack``."""
        return iter(())


class EncodedTrack:
    """Decoded sound as AAC. Samples follow each other without gaps; silence fills what is missing."""

    def __init__(self, container: av.container.OutputContainer, track: SoundTrack) -> None:
        source = track.stream
        self._rate = min(_AAC_RATES, key=lambda rate: abs(rate - min(source.rate, 48_000)))
        self._channels = source.codec_context.channels
        if self._channels not in _LAYOUTS:
            self._channels = 2
        self._layout = _LAYOUTS[self._channels]
        self._stream = container.add_stream("aac", rate=self._rate)
        self._stream.codec_context.layout = self._layout
        self._stream.codec_context.format = "fltp"
        self._stream.codec_context.bit_rate = _BITS_PER_CHANNEL * self._channels
        _keep_language(self._stream, source)
        self._kind: tuple[str, str, int] | None = None  # of the decoded sound; broadcasts change it
        self._resampler = self._new_resampler()
        self._waiting: deque[Samples] = deque()
        self._end = 0  # of the samples that wait
        self._done = 0  # encoded
        self._begun = False

    def packets(self, time_s: Fraction, packet: av.Packet) -> Iterator[av.Packet]:
        """See ``WrittenTrack``: none, because ``advance`` encodes the samples. Iterate, so that they are decoded."""
        self._decode(time_s, packet)
        yield from ()

    def _decode(self, time_s: Fraction, packet: av.Packet) -> None:
        stamp = None if packet.pts is None else packet.pts * packet.time_base
        try:
            frames = packet.decode()
        except av.FFmpegError as error:  # of any kind: AC-3 has error numbers of its own
            raise DamagedSoundError(error.strerror) from error
        for frame in frames:
            begin_s = time_s
            if stamp is not None and frame.pts is not None:
                begin_s += frame.pts * frame.time_base - stamp
            begin = round(begin_s * self._rate)
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if kind != self._kind:
                self._kind, self._resampler = kind, self._new_resampler()
            for part in self._resampler.resample(frame):
                self._append(part.to_ndarray(), begin)
                begin += part.samples

    def advance(self, until_s: Fraction | None) -> Iterator[av.Packet]:
        """See ``WrittenTrack``. Before sound comes, it is silence: an MP4 does not begin before all its tracks do."""
        if until_s is None:
            until = self._end
        elif self._begun:
            until = round(until_s * self._rate)
        else:
            until = round((until_s - LATE_S) * self._rate)
            self._add_silence(until)
        while self._waiting and self._done < until:
            samples = self._waiting.popleft()
            room = until - self._done
            if samples.shape[1] > room:
                self._waiting.appendleft(samples[:, room:])
            yield from self._encode(samples[:, :room])

    def end(self) -> Iterator[av.Packet]:
        """See ``WrittenTrack``."""
        if self._done:
            yield from self._stream.encode(None)

    def _new_resampler(self) -> av.AudioResampler:
        return av.AudioResampler("fltp", self._layout, self._rate)

    def _append(self, samples: Samples, begin: int) -> None:
        """Add float32 ``(channels, N)`` that begin at sample ``begin``."""
        slack = round(_GAP_S * self._rate) if self._begun else 0
        if begin > self._end + slack:
            self._add_silence(begin)
        elif begin < self._end - slack:
            samples = samples[:, self._end - begin :]
        if samples.shape[1]:
            self._begun = True
            self._waiting.append(samples)
            self._end += samples.shape[1]

    def _add_silence(self, end: int) -> None:
        while self._end < end:
            self._waiting.append(np.zeros((self._channels, min(self._rate, end - self._end)), np.float32))
            self._end += self._waiting[-1].shape[1]

    def _encode(self, samples: Samples) -> Iterator[av.Packet]:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._done, Fraction(1, self._rate)
        self._done += samples.shape[1]
        yield from self._stream.encode(frame)


def _keep_language(stream: av.AudioStream, source: av.AudioStream) -> None:
    language = source.metadata.get("language")
    if language:
        stream.metadata["language"] = language
