"""Presentation times of a file's frames, its frame rate, and the duration in its header."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Sequence
from fractions import Fraction
from statistics import median

import av

from mostnet.contract import VideoError

_LOG = logging.getLogger(__name__)

#: Frame rate of pictures, as FFmpeg assumes, and of a single frame.
PICTURE_RATE = Fraction(25)
#: A time this close to a whole number of frame periods is rounded to it: Matroska, for example, stores milliseconds.
_SNAP_S = Fraction(2, 1000)
#: Largest relative difference at which the nominal and the average frame rate agree.
_AGREEMENT = Fraction(1, 2000)
#: A rate above this needs the time stamps to confirm it, because 1000 FPS is often a clock, not a rate.
_USUAL_MOST = 120
#: Relative difference at which the time stamps deny the rate in the header.
_TOLERANCE = Fraction(1, 50)
#: Relative error of a rate that is measured on few stamps of whole milliseconds.
_ROUNDING = Fraction(1, 500)


class FrameClock:
    """Turns the time stamps of a file into strictly rising times that start at zero."""

    def __init__(self, fps: Fraction, *, start: Fraction | None = None) -> None:
        """``start`` is the stamp of the first frame, for a caller that does not begin with that frame."""
        self._fps = fps
        self._start = start
        self._last: Fraction | None = None

    @property
    def start(self) -> Fraction | None:
        """Stamp of the first frame in seconds; None if it has none, and before it."""
        return self._start

    def time_of(self, stamp: Fraction | None) -> Fraction:
        """Time of the next frame in seconds since the first; without a stamp, one period after the last frame."""
        if self._last is None and self._start is None:
            self._start = stamp
        seconds = self.since_start(stamp)
        if seconds is None:
            seconds = Fraction(0) if self._last is None else self._last + 1 / self._fps
        if self._last is not None and seconds <= self._last:
            # A damaged file repeats stamps. Adding a whole period would delay every later frame too.
            seconds = self._last + 1 / (8 * self._fps)
        self._last = seconds
        return seconds

    def since_start(self, stamp: Fraction | None) -> Fraction | None:
        """Seconds between the first frame and ``stamp``, rounded to a near multiple of the frame period."""
        if stamp is None or self._start is None:
            return None
        seconds = stamp - self._start
        on_grid = round(seconds * self._fps) / self._fps
        return on_grid if abs(on_grid - seconds) <= _SNAP_S else seconds


def nominal_rate(stream: av.VideoStream) -> Fraction | None:
    """Frame rate in a stream's header: the nominal one if it agrees with the average, otherwise the average.

    FFmpeg gives the clock of a DV file, 60000 Hz, as its average.
    """
    average, nominal = stream.average_rate, stream.guessed_rate
    if nominal and stream.container.format.name == "dv":
        return Fraction(nominal)
    if average and nominal and abs(average - nominal) <= average * _AGREEMENT:
        return Fraction(nominal)
    return Fraction(average or nominal) if average or nominal else None


def is_doubtful(stream: av.VideoStream, *, joined: bool) -> bool:
    """Whether the time stamps must confirm the rate in the header.

    Args:
        stream: the video.
        joined: the format lets recordings be joined, and then FFmpeg's average is one over several parts.
    """
    average, nominal = stream.average_rate, stream.guessed_rate
    rate = average or nominal
    return not rate or not average or not 1 <= rate <= _USUAL_MOST or (joined and nominal != average)


def measured_rate(packets: Sequence[av.Packet], stream: av.VideoStream) -> Fraction | None:
    """Frame rate by the usual distance of the time stamps; None without them, and 25 for a single frame.

    Stamps are often whole milliseconds, so a rate is taken for one of the header's, a whole number, or 1000/1001 of one
    if it is that close.
    """
    if len(packets) == 1:
        return PICTURE_RATE
    stamps = sorted(_first_part(packets))
    periods = [after - before for before, after in itertools.pairwise(stamps)]
    if not periods or not stream.time_base:
        return None
    middle = median(periods)
    usual = [period for period in periods if middle / 2 <= period <= 2 * middle]
    rate = Fraction(len(usual), sum(usual)) / stream.time_base
    whole = Fraction(max(round(rate), 1))
    nearest = min(whole, whole * Fraction(1000, 1001), key=lambda one: abs(one - rate))
    for near in (stream.guessed_rate, stream.average_rate, nearest):
        if near and abs(near - rate) <= rate * _ROUNDING:
            return Fraction(near)
    return Fraction(max(round(rate, 3), Fraction(1, 1000)))


def _first_part(packets: Iterable[av.Packet]) -> set[int]:
    """Time stamps up to the end of the first of several joined recordings, in ticks."""
    stamps: set[int] = set()
    for packet in packets:
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and packet.is_keyframe and stamp < max(stamps, default=stamp):
            break
        stamps |= set() if stamp is None else {stamp}
    return stamps


def choose_rate(
    stated: Fraction | None, measured: Fraction | None, wanted: Fraction | None, *, free: bool, name: str
) -> Fraction:
    """Frame rate of a file.

    Args:
        stated: rate in the header.
        measured: rate by the time stamps, if they were needed.
        wanted: rate that the user gives.
        free: the format has no time stamps, so that any rate is possible.
        name: the file, for messages.

    Raises:
        VideoError: no rate is known, or the user's contradicts a true one.
    """
    if stated is not None and (measured is None or _agrees(measured, stated)):
        if wanted is not None and not free and wanted != stated:
            raise VideoError(
                f"{name}: has a frame rate of its own, {float(stated):g} FPS; leave out the rate ({float(wanted):g}), "
                "which is for pictures and for files without a true one"
            )
        return wanted or stated
    rate = wanted or measured
    if rate is None:
        raise VideoError(f"{name}: the file does not give a frame rate; give it with --fps")
    found = "gives no frame rate" if stated is None else f"says {float(stated):g} FPS, which its time stamps deny"
    _LOG.warning("%s: the file %s; taken as %g FPS%s", name, found, rate, "" if wanted else ", --fps sets another")
    return rate


def _agrees(measured: Fraction, stated: Fraction) -> bool:
    """Whether the time stamps are those of frames, or of fields, at the stated rate."""
    return any(abs(measured - times * stated) <= times * stated * _TOLERANCE for times in (1, 2))


def promised_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[Fraction | None, bool]:
    """Duration in the file's header, and whether it is the video stream's own (not shared with sound)."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base, True
    tag = stream.metadata.get("DURATION")
    if tag and (seconds := _clock_text(tag)) is not None:
        return seconds - _late_s(container, stream), True
    if container.duration:
        return Fraction(container.duration, av.time_base) - _late_s(container, stream), len(container.streams) == 1
    return None, False


def _late_s(container: av.container.InputContainer, stream: av.VideoStream) -> Fraction:
    """How long the file plays, for instance sound, before its pictures begin."""
    if stream.start_time is None or stream.time_base is None or container.start_time is None:
        return Fraction(0)
    late_s = stream.start_time * stream.time_base - Fraction(container.start_time, av.time_base)
    return Fraction(max(late_s, 0))


def _clock_text(text: str) -> Fraction | None:
    """Seconds of Matroska's ``HH:MM:SS.fraction``; None for any other text."""
    try:
        hours, minutes, seconds = text.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)
    except ValueError:
        return None
