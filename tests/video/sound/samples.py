"""Videos that flash and click at the same times."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ..samples import SIZE_HW, moving_frames

FPS = 25
#: The flash and the click come this often, and last this long.
EVERY_S, CLICK_S = 0.8, 0.04


def clicks(seconds: float, rate: int, *, channels: int = 1, offset_s: float = 0.0) -> np.ndarray:
    """Bursts of 1 kHz in silence, float32 ``(channels, N)``; the first begins at ``offset_s``."""
    time = np.arange(round(seconds * rate)) / rate - offset_s
    on = (time >= 0) & (time % EVERY_S < CLICK_S)
    return np.tile(np.where(on, 0.8 * np.sin(2 * np.pi * 1000 * time), 0).astype(np.float32), (channels, 1))


def flashes(count: int) -> list[np.ndarray]:
    """Dark frames, and a bright one where a click begins."""
    return [frame // 5 + (190 if is_flash(k) else 10) for k, frame in enumerate(moving_frames(count))]


def is_flash(k: int) -> bool:
    return k % round(EVERY_S * FPS) == 0


def write_clip(
    path: Path,
    count: int,
    *,
    codecs: Sequence[str] = ("aac",),
    video: str = "libx264",
    rate: int = 48_000,
    channels: int = 1,
    sound_s: tuple[float, float] | None = None,
    languages: Sequence[str] = (),
    drop: Sequence[int] = (),
) -> Path:
    """Write ``count`` flashing frames with one sound track per codec.

    ``sound_s`` is begin and end of the sound on the clock of the pictures. Frames in ``drop`` are missing.
    """
    begin_s, end_s = sound_s or (0.0, count / FPS)
    earlier = max(0.0, -begin_s)
    with av.open(str(path), "w") as container:
        pictures = container.add_stream(video, rate=FPS)
        pictures.height, pictures.width, pictures.pix_fmt = *SIZE_HW, "yuv420p"
        pictures.bit_rate = 2_000_000
        tracks = []
        for k, codec in enumerate(codecs):
            stream = container.add_stream(codec, rate=rate, options={"strict": "experimental"})
            stream.bit_rate = 64_000 * channels
            stream.codec_context.layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
            if languages:
                stream.metadata["language"] = languages[k]
            tracks.append(stream)
        packets = []
        for k, frame in enumerate(flashes(count)):
            if k not in drop:
                picture = av.VideoFrame.from_ndarray(frame, "bgr24")
                picture.pts, picture.time_base = k + round(earlier * FPS), Fraction(1, FPS)
                packets += pictures.encode(picture)
        packets += pictures.encode(None)
        for stream in tracks:
            packets += _sound(stream, begin_s, end_s, earlier)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _sound(stream: av.AudioStream, begin_s: float, end_s: float, earlier: float) -> list[av.Packet]:
    context = stream.codec_context
    samples = clicks(end_s - begin_s, context.rate, channels=context.channels, offset_s=-begin_s)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=context.layout.name)
    frame.sample_rate = context.rate
    resampler = av.AudioResampler(context.format.name, context.layout.name, context.rate, frame_size=1024)
    frame.pts, frame.time_base = 0, Fraction(1, context.rate)
    packets, begin = [], round((begin_s + earlier) * context.rate)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        part.pts, part.time_base = begin, Fraction(1, context.rate)
        begin += part.samples
        packets += stream.encode(part)
    return packets + stream.encode(None)


def sound_of(path: Path, track: int = 0) -> tuple[np.ndarray, int, float]:
    """Samples, float32 mono, on the clock of the file from zero on; their rate; and the end of the last in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        rate = stream.rate
        resampler = av.AudioResampler("flt", "mono", rate)
        line, end = np.zeros(0, np.float32), 0
        for frame in container.decode(stream):
            begin = round(frame.pts * frame.time_base * rate)
            for part in resampler.resample(frame):
                samples = part.to_ndarray().reshape(-1)[max(0, -begin) :]
                begin = max(0, begin)
                line = np.pad(line, (0, max(0, begin + len(samples) - len(line))))
                line[begin : begin + len(samples)] = samples
                begin += len(samples)
                end = begin
        return line, rate, end / rate


def onsets(path: Path, track: int = 0) -> list[float]:
    """Times at which clicks begin, in seconds."""
    line, rate, _ = sound_of(path, track)
    loud = np.abs(line) > 0.25
    places = np.flatnonzero(loud)
    if not len(places):
        return []
    begins = places[np.insert(np.diff(places) > 0.3 * rate, 0, True)]
    return [place / rate for place in begins]


def flash_times(path: Path) -> list[float]:
    """Times of the bright frames of a file, in seconds; the engine of the tests inverts the picture."""
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    middle = np.median([level for _, level in frames])
    return [time for time, level in frames if abs(level - middle) > 60]
