"""Estimates what still fits into the time of a report, by first guesses that each timed step corrects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt
from random import Random
from statistics import median
from time import monotonic
from typing import TypeVar

from .cases import COMBINATION, MOST_DRAWN, Case

T = TypeVar("T")

#: Seconds for ``dw`` at 480x640, from the durations of whole pieces of work in one report on an H200 with the stand-in
#: (``bench/results``). That report did not time each step, so the split of these durations is rough.
_FROM_AN_H200_S = {
    "prepare": 22.0,
    "build standin": 3.0,
    "start standin": 3.0,
    "start torch": 4.0,
    "open plan": 2.0,
    "open eager": 1.0,
    "check": 4.0,
    "peaks": 1.0,
}

#: First guesses of steps that no report has taken on a GPU yet. TensorRT for RTX needs no GPU to build: without one it
#: took 2 s on two cores.
_NOT_MEASURED_S = {
    "build tensorrt": 120.0,
    "build rtx": 20.0,
    "start tensorrt": 5.0,
    "start rtx": 5.0,
    "start ort": 5.0,
    "open ort": 8.0,
    "open compile": 90.0,
    "soak": 8.0,
}

#: First guesses in seconds, for ``dw`` at 480x640 on a data-centre GPU.
GUESSES_S = {**_FROM_AN_H200_S, **_NOT_MEASURED_S}

#: Seconds to draw 60 frames of teeth at 480x640 on one core, which only ``nano`` needs.
_DRAWING_S = 12.0

#: Share of the guess for ``dw``; the combination, never timed on a GPU, has five times the work of ``dw``. Other sizes
#: take longer in proportion to the square root of their pixels.
_SHARES = {"dw": 1.0, "sw": 0.8, "nano": 0.6, COMBINATION: 3.0}
_PIXELS = 480 * 640

#: A step is ended after so many times its estimate, but not before so many seconds: guesses are rough.
_PATIENCE, _LEAST_PATIENCE_S = 3.0, 120.0


@dataclass(frozen=True)
class WorkStep:
    """One step of work. One factor corrects the guesses of all steps of a ``kind``. ``subject`` names this step."""

    kind: str
    subject: str
    guess_s: float

    @classmethod
    def guessed(cls, kind: str, case: Case, detail: str = "") -> WorkStep:
        """A step of the table, for a case."""
        return cls(kind, f"{case.name} {detail}".strip(), _guess_s(kind, case))


def _guess_s(kind: str, case: Case) -> float:
    """A larger frame has fewer frames in its reference, so that preparing and checking take as long at every size."""
    pixels = case.size_hw[0] * case.size_hw[1] / _PIXELS
    if kind == "prepare":
        drawn = min(MOST_DRAWN, case.reference_frames) / MOST_DRAWN if case.variant == "nano" else 0.0
        return GUESSES_S[kind] + _DRAWING_S * drawn * pixels
    if kind == "check":
        return GUESSES_S[kind]
    return GUESSES_S[kind] * _SHARES[case.variant] * max(1.0, sqrt(pixels))


class Schedule:
    """The time left, and estimates of steps.

    Attributes:
        clock: gives seconds, and never steps back.
        steps: seconds of each time that a step was taken, by kind and subject.
    """

    def __init__(self, limit_s: float | None = None, *, clock: Callable[[], float] = monotonic) -> None:
        """``limit_s`` counts from now; None has no limit."""
        self.clock = clock
        self._end_s = None if limit_s is None else clock() + limit_s
        self.steps: dict[str, dict[str, list[float]]] = {}
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

        Three times its estimate, at least two minutes, and at most half of the time left. A step that was begun because
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
        self.steps.setdefault(step.kind, {}).setdefault(step.subject, []).append(round(took_s, 3))
        self._factors.setdefault(step.kind, []).append(took_s / step.guess_s)

    def _estimate_s(self, step: WorkStep) -> float:
        known = self.steps.get(step.kind, {}).get(step.subject)
        return known[-1] if known else step.guess_s * median(self._factors.get(step.kind, [1.0]))


def shuffled(items: Sequence[T], seed: str) -> list[T]:
    """``items`` in an order that depends only on ``seed``: every round has other neighbours."""
    order = list(items)
    Random(seed).shuffle(order)
    return order
