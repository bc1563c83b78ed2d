"""The sound follows the pictures where the clock of a file jumps."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import pytest

from mostnet.video.sound.clock import PictureClock, SoundClock, SoundClockError
from mostnet.video.sound.source import SoundTrack

#: Sound packets and pictures of these tests are this long.
_STEP = Fraction(1, 25)


def _pictures(*parts: tuple[float, float]) -> PictureClock:
    """A clock that has seen parts of (first stamp in the file, time of the first picture)."""
    clock = PictureClock()
    first, begin_s = parts[0]
    clock.begin(Fraction(first), Fraction(begin_s))
    for stamp, time_s in parts:
        clock.move(Fraction(time_s) + Fraction(first) - Fraction(stamp), None)
    return clock


def _times(clock: SoundClock, stamps: list[float], until_s: float | None = None) -> list[float | None]:
    found = []
    for stamp in stamps:
        time_s = clock.time_of(Fraction(stamp), None if until_s is None else Fraction(until_s))
        found.append(None if time_s is None else float(time_s))
        if time_s is not None:
            clock.advance(Fraction(stamp), time_s, _STEP)
    return found


def _run(begin: float, count: int) -> list[float]:
    return [float(Fraction(begin) + k * _STEP) for k in range(count)]


def test_packets_without_duration_are_all_taken():
    """Matroska gives those of TrueHD none, and rounds the stamps of two packets to the same millisecond."""
    track = SoundTrack(SimpleNamespace(), "the sound", _pictures((0, 0)))
    stamps = [0, 1, 2, 2, 3, 4, 5, 5, 6]
    for stamp in stamps:
        track.put(SimpleNamespace(pts=stamp, dts=stamp, duration=0, time_base=Fraction(1, 1000), size=8))
    assert [time_s * 1000 for time_s, _ in track.take(None)] == stamps


def test_times_count_from_the_first_picture():
    assert _times(SoundClock(_pictures((1.5, 0))), [1.25, 1.5, 2]) == [-0.25, 0, 0.5]


def test_sound_may_begin_long_before_the_pictures():
    assert _times(SoundClock(_pictures((60, 0))), _run(0, 1502))[-2:] == pytest.approx([0, 0.04])


def test_nothing_is_known_before_the_first_picture():
    assert _times(SoundClock(PictureClock()), [1.5]) == [None]


def test_a_pause_of_both_is_a_pause():
    clock = SoundClock(_pictures((0, 0)))
    assert _times(clock, [0, 0.04, 8, 8.04], until_s=9) == pytest.approx([0, 0.04, 8, 8.04])


@pytest.mark.parametrize("second", [1.5, 0.0, 500.0, 4.0])
def test_a_joined_recording_goes_on_in_sync(second):
    """The second part has its first picture at 2 s, and its sound begins 0.08 s before this picture."""
    clock = SoundClock(_pictures((1.5, 0), (second, 2), (1.5, 4)))
    times = _times(clock, [*_run(1.5, 45), *_run(second - 0.08, 50), *_run(1.52, 10)])
    assert times[44] == pytest.approx(44 / 25)
    assert times[45] == pytest.approx(1.92)
    assert times[94] == pytest.approx(1.92 + 49 / 25)
    assert times[95] == pytest.approx(4.02)


def test_sound_waits_until_its_pictures_have_jumped_too():
    pictures = _pictures((1.5, 0))
    clock = SoundClock(pictures)
    _times(clock, _run(1.5, 50))
    assert _times(clock, [1.5], until_s=2) == [None]
    pictures.move(Fraction(2), None)
    assert _times(clock, [1.5], until_s=2) == [2]


@pytest.mark.parametrize("false", [0.0, 80_000.0])
def test_a_false_stamp_changes_nothing(false):
    clock = SoundClock(_pictures((10, 0)))
    assert _times(clock, [*_run(10, 100), false, 14.04]) == pytest.approx([k / 25 for k in range(102)])


def test_a_first_stamp_that_is_false():
    assert _times(SoundClock(_pictures((10, 0))), [80_000.0, 10.04]) == pytest.approx([0, 0.04])


@pytest.mark.parametrize("false", [0.0, 80_000.0])
def test_a_clock_that_jumps_alone_is_an_error(false):
    clock = SoundClock(_pictures((10, 0)))
    _times(clock, _run(10, 100))
    with pytest.raises(SoundClockError):
        _times(clock, _run(false, 60), until_s=30)


def test_a_packet_without_a_stamp_follows_the_one_before():
    clock = SoundClock(_pictures((1.5, 0)))
    _times(clock, [1.5, 1.54])
    assert clock.time_of(None, None) == pytest.approx(0.08)


def test_a_silent_part_in_between_is_not_taken_for_the_next():
    """All three parts begin at stamp 1.5, and the reader is in the third when the sound goes on."""
    clock = SoundClock(_pictures((1.5, 0), (1.5, 2), (1.5, 4)))
    _times(clock, _run(1.5, 50))
    assert clock.time_of(Fraction(3, 2), None, position=Fraction(11, 2)) == 4
