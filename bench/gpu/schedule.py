"""Estimates what still fits into the time of a report, by first guesses that each timed step corrects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from statistics import median
from time import monotonic
from typing import TypeVar

from .cases import Case

T = TypeVar("T")

#: First guesses in seconds, for ``dw`` at 480x640 on a data-centre GPU. No step was timed on a GPU yet.
GUESSES_S = {
    "prepare": 30.0,
    "build tensorrt": 120.0,
    "build rtx": 60.0,
    "build standin": 10.0,
    "start tensorrt": 5.0,
    "start rtx": 5.0,
    "start standin": 10.0,
    "start ort": 5.0,
    "start torch": 10.0,
    "open plan": 4.0,
    "open ort": 8.0,
    "open eager": 4.0,
    "open compile": 90.0,
    "check": 6.0,
    "peaks": 5.0,
    "soak": 8.0,
}

#: Share of the guess for ``dw``. Other sizes take longer in proportion to the square root of their pixels.
_SHARES = {"dw": 1.0, "sw": 0.8, "nano": 0.6}
_PIXELS = 480 * 640

#: A step is ended after so many times its estimate, but not before so many seconds: guesses are rough.
_PATIENCE, _LEAST_PATIENCE_S = 3.0, 60.0


@dataclass(frozen=True)
class WorkStep:
    """One step of work. One factor corrects the guesses of all steps of a ``kind``. ``subject`` names this step."""

    kind: str
    subject: str
    guess_s: float

    @classmethod
    def guessed(cls, kind: str, case: Case, detail: str = "") -> WorkStep:
        """A step of the table, for a case."""
        pixels = case.size_hw[0] * case.size_hw[1]
        share = _SHARES[case.variant] * max(1.0, (pixels / _PIXELS) ** 0.5)
        return cls(kind, f"{case.name} {detail}".strip(), GUESSES_S[kind] * share)


class Schedule:
    """The time left, and estimates of steps.

    Attributes:
        clock: gives seconds, and never steps back.
    """

    def __init__(self, limit_s: float | None = None, *, clock: Callable[[], float] = monotonic) -> None:
        """``limit_s`` counts from now; None has no limit."""
        self.clock = clock
        self._end_s = None if limit_s is None else clock() + limit_s
        self._took_s: dict[tuple[str, str], float] = {}
        self._factors: dict[str, list[float]] = {}

    def left_s(self) -> float:
        """Seconds until the limit; infinite without one."""
        return float("inf") if self._end_s is None else self._end_s - self.clock()

    def estimate_s(self, steps: Iterable[WorkStep]) -> float:
        """Seconds for ``steps``: each takes as long as the last time, or else as its guess, corrected for its kind."""
        return sum(self._estimate_s(step) for step in steps)

    def shortage(self, steps: Iterable[WorkStep]) -> str | None:
        """None if ``steps`` fit into the time left, or else a text with both times."""
        needed_s, left_s = self.estimate_s(steps), self.left_s()
        return None if needed_s <= left_s else f"needs about {needed_s:.0f} s; {max(0.0, left_s):.0f} s were left"

    def allowance_s(self, step: WorkStep) -> float:
        """The longest time to wait for a step that may hang.

        Three times its estimate, at least a minute, and at most half of the time left. A step that was begun because
        it fits gets half more than its estimate even so, as far as the time lasts.
        """
        estimate_s, left_s = self._estimate_s(step), self.left_s()
        longest_s = max(_PATIENCE * estimate_s, _LEAST_PATIENCE_S)
        return min(longest_s, left_s, max(left_s / 2, 1.5 * estimate_s))

    @contextmanager
    def timed(self, step: WorkStep) -> Iterator[None]:
        """Correct later estimates by the duration of the block. A failed block corrects nothing."""
        begun_s = self.clock()
        yield
        took_s = self.clock() - begun_s
        self._took_s[step.kind, step.subject] = took_s
        self._factors.setdefault(step.kind, []).append(took_s / step.guess_s)

    def _estimate_s(self, step: WorkStep) -> float:
        known = self._took_s.get((step.kind, step.subject))
        return step.guess_s * median(self._factors.get(step.kind, [1.0])) if known is None else known


def shuffled(items: Sequence[T], seed: str) -> list[T]:
    """``items`` in an order that depends only on ``seed``: every round has other neighbours."""
    order = list(items)
    Random(seed).shuffle(order)
    return order
