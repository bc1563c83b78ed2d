"""Times of the sound, on the clock of the written video."""

from __future__ import annotations

from fractions import Fraction

#: A clock that goes on differently by more than this has jumped.
_JUMP_S = Fraction(1, 10)
#: Where recordings are joined, their sound may start and end this much before or after their pictures.
_NEAR_S = Fraction(3)
#: After this much more video, a jump of the sound's clock has no jump of the pictures' clock beside it.
_PATIENCE_S = Fraction(5)


class SoundClockError(Exception):
    """The clock of the sound jumps where the clock of the pictures does not."""


class PictureClock:
    """How far the times of a video are from the stamps in its file: one number for each joined recording.

    The reading thread adds numbers while the writing thread reads them.
    """

    def __init__(self) -> None:
        self._begin: Fraction | None = None
        self._moves = [Fraction(0)]
        self._stamp: Fraction | None = None

    @property
    def shifts(self) -> list[Fraction]:
        """What is added to the stamps of each joined recording; empty before the first picture."""
        return [] if self._begin is None else [self._begin + move for move in self._moves]

    def begin(self, stamp: Fraction | None, time_s: Fraction) -> None:
        """Note that a picture with ``stamp``, None for zero, is shown at ``time_s``; only the first one counts."""
        if self._begin is None:
            self._begin = time_s - (stamp or 0)

    def move(self, by_s: Fraction, stamp: Fraction | None) -> None:
        """Note that the reader adds ``by_s`` to the stamps of the file, and has come to ``stamp``, this included."""
        self._stamp = stamp
        if by_s != self._moves[-1]:
            self._moves.append(by_s)

    @property
    def position(self) -> Fraction | None:
        """Where the reader is in the file, as the stamp that a picture there would have in the first recording."""
        return self._stamp

    def time_at(self, position: Fraction | None) -> Fraction | None:
        """Time of a ``position`` in seconds since the first picture; None if either is not known."""
        return None if position is None or self._begin is None else position + self._begin


class SoundClock:
    """Times of one sound track. Its stamps jump at the same places as those of the pictures."""

    def __init__(self, pictures: PictureClock) -> None:
        self._pictures = pictures
        self._part = 0
        self._expected: Fraction | None = None
        self.end_s = Fraction(0)

    def time_of(
        self, stamp: Fraction | None, until_s: Fraction | None, *, position: Fraction | None = None
    ) -> Fraction | None:
        """Time of the next packet in seconds since the first picture; None if it is not known yet.

        Args:
            stamp: of the packet in the file, in seconds; None for one that follows the packet before.
            until_s: the video is written up to here; None at its end.
            position: of the reader of the pictures when it met the packet, see ``PictureClock``.

        Raises:
            SoundClockError: the stamps jump back, and those of the pictures do not.
        """
        shifts = self._pictures.shifts
        if not shifts:
            return None
        if stamp is None or self._expected is None or abs(stamp - self._expected) <= _JUMP_S:
            return self._stamp(stamp) + shifts[self._part]
        near_s = self._pictures.time_at(position)
        near_s = self.end_s if near_s is None else near_s
        part = min(range(self._part, len(shifts)), key=lambda k: abs(stamp + shifts[k] - near_s))
        time_s = stamp + shifts[part]
        if abs(time_s - near_s) > _NEAR_S or part == self._part:
            if until_s is not None and until_s < self.end_s + _PATIENCE_S:
                return None  # the pictures may jump soon
            if time_s < self.end_s - _NEAR_S:
                raise SoundClockError
        self._part = part
        return time_s

    def advance(self, stamp: Fraction | None, time_s: Fraction, duration_s: Fraction) -> None:
        """Go past the packet that ``time_of`` has placed at ``time_s``."""
        self._expected = self._stamp(stamp) + duration_s
        self.end_s = time_s + duration_s

    def _stamp(self, stamp: Fraction | None) -> Fraction:
        if stamp is not None:
            return stamp
        return -self._pictures.shifts[0] if self._expected is None else self._expected
