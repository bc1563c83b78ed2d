"""Presentation times of a file's frames, its frame rate, and the duration in its header."""

from __future__ import annotations

from fractions import Fraction

import av

from mostnet.contract import VideoError

#: A time this close to a whole number of frame periods is rounded to it: Matroska, for example, stores milliseconds.
_SNAP_S = Fraction(2, 1000)
#: Largest relative difference at which the nominal and the average frame rate agree.
_AGREEMENT = Fraction(1, 2000)


class FrameClock:
    """Turns the time stamps of a file into strictly rising times that start at zero."""

    def __init__(self, fps: Fraction) -> None:
        self._fps = fps
        self._start: Fraction | None = None
        self._last: Fraction | None = None

    def time_of(self, stamp: Fraction | None) -> Fraction:
        """Time of the next frame in seconds since the first; without a stamp, one period after the last frame."""
        if self._last is None:
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


def nominal_rate(stream: av.VideoStream, name: str) -> Fraction:
    """Frame rate of a stream: the nominal one if it agrees with the average, otherwise the average (variable rate).

    Raises:
        VideoError: the file gives no rate.
    """
    average, nominal = stream.average_rate, stream.guessed_rate
    if average and nominal and abs(average - nominal) <= average * _AGREEMENT:
        return Fraction(nominal)
    rate = average or nominal
    if not rate:
        raise VideoError(f"{name}: the file does not give a frame rate; convert it to MP4 with a fixed rate")
    return Fraction(rate)


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
    return max(Fraction(0), stream.start_time * stream.time_base - Fraction(container.start_time, av.time_base))


def _clock_text(text: str) -> Fraction | None:
    """Seconds of Matroska's ``HH:MM:SS.fraction``; None for any other text."""
    try:
        hours, minutes, seconds = text.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)
    except ValueError:
        return None
