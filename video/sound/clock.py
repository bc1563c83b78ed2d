"""Times of the sound, on the clock of the written video."""

from __future__ import annotations

from fractions import Fraction

#: A clock that goes on differently by more than this has jumped.
_JUMP_S = Fraction(1, 10)
#: Where recordings are joined, their sound may start and end this much before or after their pictures.
_NEAR_S = Fraction(3)
#: No sound begins later than this after the pictures that are stored beside it.
_FAR_S = Fraction(10)
#: Packets in a row whose stamps may be false.
_MOST_DOUBTS = 50
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
    """Times of one sound track. Its stamps jump at the same places as those of the pictures.

    Attributes:
        end_s: end of the last packet, in seconds since the first picture.
    """

    def __init__(self, pictures: PictureClock) -> None:
        self._pictures = pictures
        self._part = 0
        self._has_begun = False
        self._doubts = 0
        self.end_s = Fraction(0)

    def time_of(
        self, stamp: Fraction | None, until_s: Fraction | None, *, position: Fraction | None = None
    ) -> Fraction | None:
        """Time of the next packet in seconds since the first picture; None if it is not known yet.

        A stamp that cannot be true is left aside: the packet then follows the one before.

        Args:
            stamp: of the packet in the file, in seconds; None for one that follows the packet before.
            until_s: the video is written up to here; None at its end.
            position: of the reader of the pictures when it met the packet, see ``PictureClock``.

        Raises:
            SoundClockError: the last ``_MOST_DOUBTS`` stamps could not be true.
        """
        shifts = self._pictures.shifts
        if not shifts:
            return None
        if stamp is None:
            return self.end_s
        if self._has_begun and abs(stamp + shifts[self._part] - self.end_s) <= _JUMP_S:
            return stamp + shifts[self._part]
        near_s = self._pictures.time_at(position)
        near_s = self.end_s if near_s is None else near_s
        part = min(range(self._part, len(shifts)), key=lambda k: abs(stamp + shifts[k] - near_s))
        time_s = stamp + shifts[part]
        may_jump = self._has_begun and (part == self._part or abs(time_s - near_s) > _NEAR_S)
        if may_jump and until_s is not None and until_s < self.end_s + _PATIENCE_S:
            return None  # the pictures may jump soon
        if time_s > near_s + _FAR_S or (self._has_begun and time_s < self.end_s - _NEAR_S):
            if self._doubts >= _MOST_DOUBTS:
                raise SoundClockError
            return self.end_s if self._has_begun else near_s
        self._part = part
        return time_s

    def advance(self, stamp: Fraction | None, time_s: Fraction, duration_s: Fraction) -> None:
        """Go past the packet that ``time_of`` has placed at ``time_s``."""
        is_doubtful = stamp is not None and stamp + self._pictures.shifts[self._part] != time_s
        self._doubts = self._doubts + 1 if is_doubtful else 0
        self._has_begun = True
        self.end_s = time_s + duration_s
