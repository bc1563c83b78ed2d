"""Makes the missing files of a case: graph, reference and plans, each in a Python that has the libraries."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mostnet.contract import MeasurementError

from .agenda import PLAN_PARTS, ReportOptions
from .cases import CHECKPOINT, FACTS, PREPARED, Case, is_built, read_facts
from .link import StopAsking, run_module
from .schedule import Schedule, WorkStep

_PACKAGE = "mostnet.bench.gpu"


class Maker:
    """Makes cases under ``options.cases``. The programs that it runs print to ``log``."""

    def __init__(self, options: ReportOptions, schedule: Schedule, log: Path, stop: StopAsking) -> None:
        self._options = options
        self._schedule = schedule
        self._log = log
        self._stop = stop

    def folder(self, case: Case) -> Path:
        """The folder of a case, whether it exists or not."""
        return self._options.cases / case.name

    def missing(self, case: Case, part: str) -> list[WorkStep]:
        """The steps that ``make`` will take."""
        return [step for step, _ in self._missing(case, part)]

    def make(self, case: Case, part: str) -> None:
        """Make what ``part`` needs of the case.

        Raises:
            MeasurementError: it cannot be made, or the folder was prepared by an earlier version.
            StopAsked: the report shall stop.
        """
        for step, make in self._missing(case, part):
            with self._schedule.timed(step):
                make(max(1.0, self._schedule.allowance_s(step)))
        read_facts(self.folder(case))

    def _missing(self, case: Case, part: str) -> Iterator[tuple[WorkStep, Callable[[float], None]]]:
        """Each step with the function that takes it within a limit in seconds."""
        network = replace(case, compute_ms=None)
        if not (self.folder(network) / FACTS).is_file():
            yield WorkStep.guessed("prepare", network), lambda limit_s: self._prepare(network, limit_s)
        if part in PLAN_PARTS and not is_built(self.folder(case), part):
            yield WorkStep.guessed(f"build {part}", case), lambda limit_s: self._build(case, part, limit_s)

    def _prepare(self, case: Case, limit_s: float) -> None:
        options = self._options
        python = options.pythons.get("torch") or options.pythons.get("standin")
        if python is None:
            raise MeasurementError(
                f"{self.folder(case)}: not prepared, and no part here has PyTorch; run python -m {_PACKAGE}.prepare "
                "where PyTorch is installed, and name its folder with --cases"
            )
        arguments = [str(options.cases), "--only", case.name, "--opset", str(options.opset), "--no-warps"]
        if options.reference_frames is not None:
            arguments += ["--frames", str(options.reference_frames)]
        self._run(python, "prepare", arguments, limit_s)

    def _build(self, case: Case, part: str, limit_s: float) -> None:
        folder, python = self.folder(case), self._options.pythons[part]
        network = self.folder(replace(case, compute_ms=None))
        read_facts(network)
        if part != "standin":
            self._run(python, "build", [str(folder), "--flavour", part], limit_s)
            return
        arguments = [str(folder), *(["--miniature"] if self._options.rehearse else [])]
        if case.compute_ms is not None:
            _copy(network, folder)
            arguments += ["--toy", "--compute-ms", f"{case.compute_ms:g}"]
        self._run(python, "standin.build", arguments, limit_s)

    def _run(self, python: str, module: str, arguments: list[str], limit_s: float) -> None:
        run_module(python, [f"{_PACKAGE}.{module}", *arguments], self._log, limit_s=limit_s, stop=self._stop)


def _copy(source: Path, target: Path) -> None:
    """A second folder with the files of a case, without its plans."""
    target.mkdir(exist_ok=True)
    for name in (*PREPARED, CHECKPOINT):
        if (source / name).is_file() and not (target / name).exists():
            try:
                os.link(source / name, target / name)
            except OSError:  # another file system, or one without links
                shutil.copy2(source / name, target / name)
