"""The steps that a piece of work takes. Files that exist and workers that run take none."""

from __future__ import annotations

from .agenda import COMPILED, ReportOptions
from .cases import Case
from .link import WorkerPool
from .making import Maker
from .schedule import WorkStep

#: A round of PyTorch has a part with copies and a part without; every round collects garbage and answers.
_ROUND_PARTS = {"torch": 2.0}
_ROUND_MORE_S = 0.2

#: The warm-up of a run at a camera's rate, and its end.
_PACED_MORE_S = 2.5


def own_worker(method: str) -> str:
    """The name of the method's own worker, if its compiler may hang or die; otherwise empty."""
    return method if method in COMPILED else ""


def open_step(case: Case, part: str, method: str) -> WorkStep:
    """Opening a method in a worker that runs."""
    kind = "compile" if own_worker(method) else {"torch": "eager", "ort": "ort"}.get(part, "plan")
    return WorkStep.guessed(f"open {kind}", case, f"{part} {method}")


class Effort:
    """Counts steps for the cases that ``maker`` makes and the workers of ``pool``."""

    def __init__(self, options: ReportOptions, maker: Maker, pool: WorkerPool) -> None:
        self._options = options
        self._maker = maker
        self._pool = pool

    def check(self, case: Case, part: str) -> list[WorkStep]:
        """To make the case and check it."""
        checking = WorkStep.guessed("check", case, part)
        return [*self._maker.missing(case, part), *self.opening(case, part, "stream"), checking]

    def timing(self, case: Case, methods: list[tuple[str, str]]) -> list[WorkStep]:
        """To time the methods of the first part, without compiled ones. If this fits, the case can begin."""
        first = [pair for pair in methods if pair[0] == methods[0][0] and not own_worker(pair[1])] or methods[:1]
        steps = self._maker.missing(case, first[0][0])
        for index, pair in enumerate(first):
            steps += [*self.opening(case, *pair)[-1 if index else 0 :], *self.rounds(*pair)]
        return steps

    def paced(self, case: Case, part: str) -> list[WorkStep]:
        """To run at a camera's rate."""
        length_s = self._options.paced_seconds + _PACED_MORE_S
        return [*self.opening(case, part, "stream"), WorkStep("paced", case.name, length_s)]

    def soak(self, case: Case, part: str) -> list[WorkStep]:
        """To stream many frames."""
        return [*self.opening(case, part, "stream"), WorkStep.guessed("soak", case)]

    def peaks(self, case: Case, part: str) -> list[WorkStep]:
        """To measure the peaks of the GPU in the worker of ``part``."""
        return [*self._maker.missing(case, part), *self._starting(case, part), WorkStep.guessed("peaks", case)]

    def opening(self, case: Case, part: str, method: str) -> list[WorkStep]:
        """To open a method, and to start its worker if it does not run."""
        return [*self._starting(case, part, method), open_step(case, part, method)]

    def rounds(self, part: str, method: str) -> list[WorkStep]:
        """All rounds of a method."""
        return [self.round(part, method)] * self._options.rounds

    def round(self, part: str, method: str) -> WorkStep:
        """One round of a method. It takes as long on every case, because ``seconds`` limits it."""
        guess_s = self._options.seconds * _ROUND_PARTS.get(part, 1.0) + _ROUND_MORE_S
        return WorkStep("round", f"{part} {method}", guess_s)

    def _starting(self, case: Case, part: str, method: str = "") -> list[WorkStep]:
        """To start the worker of a part, or of a method that has its own, if it does not run."""
        running = self._pool.has(self._maker.folder(case), part, own_worker(method))
        return [] if running else [WorkStep.guessed(f"start {part}", case)]
